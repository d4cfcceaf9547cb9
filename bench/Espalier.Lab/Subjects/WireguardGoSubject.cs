using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>wireguard-go: WireGuard in userland, ChaCha20-Poly1305.</summary>
internal sealed class WireguardGoSubject() : Subject("wireguard-go", "")
{
    private const int Port = 51820;

    /// <summary>Go has an allocator and a memmove of its own.</summary>
    public override bool UsesCLibrary => false;

    /// <inheritdoc/>
    public override Task<string?> WhatIsMissingAsync(CancellationToken cancellation) =>
        Task.FromResult(MissingProgram("wireguard-go", "wireguard-go wireguard-tools") ?? MissingProgram("wg", "wireguard-tools"));

    /// <inheritdoc/>
    public override async Task<string> VersionAsync(CancellationToken cancellation) =>
        (await Shell.RunAsync(["wireguard-go", "--version"], cancellation).ConfigureAwait(false)).Split('\n')[0];

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        var keys = new Dictionary<NetHost, string>();
        foreach (var host in bed.Hosts)
        {
            string key = await Shell.RunAsync(["wg", "genkey"], cancellation).ConfigureAwait(false);
            await File.WriteAllTextAsync(host.File("key"), key, cancellation).ConfigureAwait(false);
            File.SetUnixFileMode(host.File("key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
            keys[host] = (await Shell.RunAsync(["wg", "pubkey"], cancellation, key).ConfigureAwait(false)).Trim();
            var quiet = new Dictionary<string, string> { ["WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD"] = "1", ["LOG_LEVEL"] = "error" };
            if (File.Exists(ControlSocket(host)))
            {
                File.Delete(ControlSocket(host)); // of one that was killed: `wg` would find nobody there, and try the kernel
            }

            StartDaemon(host, options, quiet, "wireguard-go", "--foreground", Device(host));
        }

        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            await ConfigureAsync(host, other, keys[other], cancellation).ConfigureAwait(false);
            await RouteAsync(host, other, Device(host), cancellation).ConfigureAwait(false);
        }
    }

    private async Task ConfigureAsync(NetHost host, NetHost other, string peer, CancellationToken cancellation)
    {
        await WaitForStartAsync(host, "wireguard-go", () => Task.FromResult(File.Exists(ControlSocket(host))), cancellation).ConfigureAwait(false);
        await host.RunAsync(
            cancellation, "wg", "set", Device(host), "listen-port", $"{Port}", "private-key", host.File("key"), "peer", peer,
            "endpoint", $"{other.Outer}:{Port}", "allowed-ips", $"{other.InnerPrefix},{other.InnerPrefix6}").ConfigureAwait(false);
    }

    private static string ControlSocket(NetHost host) => $"/var/run/wireguard/{Device(host)}.sock";

    // Its control socket is found by the device's name in one folder of the whole machine.
    private static string Device(NetHost host) => $"wg{host.Name[0]}{Environment.ProcessId}";
}
