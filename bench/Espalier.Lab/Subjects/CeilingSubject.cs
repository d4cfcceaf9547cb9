using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>native/ceiling: the most this kernel can carry. Variants: gcm, none, gcm-plain (no offloads on the TUN).</summary>
internal sealed class CeilingSubject(string variant) : Subject("ceiling", variant)
{
    private static string Program => Path.Combine(Published.Root, "artifacts/native/ceiling/ceiling");

    /// <inheritdoc/>
    public override string Crypto => Variant.StartsWith("gcm", StringComparison.Ordinal) ? "gcm" : "none";

    /// <inheritdoc/>
    public override bool IsMain => Variant == "gcm";

    /// <inheritdoc/>
    public override async Task<string?> WhatIsMissingAsync(CancellationToken cancellation)
    {
        if (!Shell.Has("make") || !Shell.Has("gcc") || !File.Exists("/usr/include/intel-ipsec-mb.h"))
        {
            return "the ceiling cannot be built: apt-get install gcc make libc6-dev libipsec-mb-dev";
        }

        var made = await Shell.TryAsync(["make", "-s", "-C", Path.Combine(Published.Root, "native/ceiling")], cancellation).ConfigureAwait(false);
        return made.ExitCode == 0 ? null : $"the ceiling does not build: make -C native/ceiling: {made.OneLine}";
    }

    /// <inheritdoc/>
    public override async Task<string> VersionAsync(CancellationToken cancellation)
    {
        if (!Shell.Has("dpkg-query"))
        {
            return "";
        }

        var library = await Shell.TryAsync(["dpkg-query", "-W", "-f", "intel-ipsec-mb ${Version}", "libipsec-mb-dev"], cancellation).ConfigureAwait(false);
        return library.ExitCode == 0 ? library.Output.Trim() : "";
    }

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            string[] plain = Variant.EndsWith("plain", StringComparison.Ordinal) ? ["--plain"] : [];
            var child = StartDaemon(
                host, options, null, [Program, "--tun", "ceiling0", "--local", host.Outer, "--peer", other.Outer, "--crypto", Crypto, .. plain]);
            await child.ExpectAsync("ready", TimeSpan.FromSeconds(5), cancellation).ConfigureAwait(false);
            await host.IpAsync("link set ceiling0 mtu 1400", cancellation).ConfigureAwait(false); // as libipsec's
            await RouteAsync(host, other, "ceiling0", cancellation).ConfigureAwait(false);
        }
    }
}
