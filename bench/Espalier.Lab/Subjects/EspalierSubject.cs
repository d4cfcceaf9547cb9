using System.Text.Json.Nodes;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>
/// Our daemon as users run it, driven by its command line. Variants: a crypto engine that `espalier run --help` offers for --crypto, or `jit` for the
/// build that compiles at run time.
/// </summary>
internal sealed class EspalierSubject(string variant) : Subject("espalier", variant)
{
    /// <summary>The variant that is not the published program.</summary>
    public const string Jit = "jit";

    private static readonly string[] _engines = ["system", "openssl", "ipsec-mb", "bouncycastle"];

    private string Program => Variant == Jit ? LabProcess.Daemon : Published.Espalier;

    /// <inheritdoc/>
    public override bool IsMain => Variant is "system" or "ipsec-mb";

    /// <inheritdoc/>
    public override bool Scales => true;

    /// <summary>The crypto engines that the published program offers; only `system` where it has no choice.</summary>
    public static async Task<IReadOnlyList<string>> EnginesAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Published.Espalier))
        {
            return ["system"];
        }

        string help = await Shell.RunAsync([Published.Espalier, "run", "--help"], cancellation).ConfigureAwait(false);
        return help.Contains("--crypto", StringComparison.Ordinal)
            ? [.. _engines.Where(engine => help.Contains(engine, StringComparison.Ordinal))]
            : ["system"];
    }

    /// <inheritdoc/>
    public override async Task<string?> WhatIsMissingAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Program))
        {
            return Variant == Jit ? "the JIT build of espalier is missing: dotnet build bench/Espalier.Lab -c Release" : $"espalier is not published: {Published.Command("src/Espalier")}";
        }

        var engines = await EnginesAsync(cancellation).ConfigureAwait(false);
        return Variant == Jit || engines.Contains(Variant) ? null : $"this espalier has no crypto engine {Variant}; it has {string.Join(", ", engines)}";
    }

    /// <inheritdoc/>
    public override async Task<string> VersionAsync(CancellationToken cancellation) =>
        (await Shell.RunAsync([Program, "--version"], cancellation).ConfigureAwait(false)).Trim();

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        string help = await Shell.RunAsync([Program, "run", "--help"], cancellation).ConfigureAwait(false);
        string[] engine = Variant != Jit && help.Contains("--crypto", StringComparison.Ordinal) ? ["--crypto", Variant] : [];
        var keys = new XfrmKeys(options.Associations);
        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            var child = StartDaemon(host, options, null, [Program, "run", "--control", Control(host), "--tun", "esp0", .. engine]);
            await child.ExpectAsync("ready", TimeSpan.FromSeconds(10), cancellation).ConfigureAwait(false);
            string[] ip = host.Command(Program, "exec", "--control", Control(host), "--", Shell.Find("ip")!, "-batch", "-");
            await Shell.RunAsync(ip, cancellation, keys.Lines(host, other, encapsulated: true)).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public override async Task<bool?> ControlAnswersAsync(Testbed bed, CancellationToken cancellation) =>
        await StatAsync(bed.Moon, cancellation).ConfigureAwait(false) is not null;

    /// <summary>The daemon's counters; null if it does not answer within five seconds.</summary>
    public async Task<JsonObject?> StatAsync(NetHost host, CancellationToken cancellation)
    {
        var stat = await Shell.TryAsync(["timeout", "5", .. host.Command(Program, "stat", "--control", Control(host), "--json")], cancellation).ConfigureAwait(false);
        return stat.ExitCode == 0 ? JsonNode.Parse(stat.Output)!.AsObject() : null;
    }

    private static string Control(NetHost host) => host.File("espalier.sock");
}
