namespace Espalier.Ike.Tests.Daemons;

/// <summary>A limit of CHILD_SAs, without chance: by packets, bytes or seconds ("time").</summary>
/// <param name="Unit">What is counted.</param>
/// <param name="Soft">When it is rekeyed; null = never.</param>
/// <param name="Hard">When it ends.</param>
public sealed record Limit(string Unit, int? Soft, int Hard)
{
    /// <summary>Soon by packets, by bytes and by time; the hard one never met.</summary>
    public static readonly Limit[] SoonSoft = [new("packets", 150, 100_000), new("bytes", 15_000, 10_000_000), new("time", 2, 60)];

    /// <summary>Hard ones that are met soon, without soft ones.</summary>
    public static readonly Limit[] SoonHard = [new("packets", null, 150), new("bytes", null, 15_000), new("time", null, 4)];

    /// <summary>Lines of a child in swanctl.conf.</summary>
    public string Swanctl =>
        $"{(Soft is null ? "rekey_time = 0" : $"rekey_{Unit} = {Soft}")}\n    life_{Unit} = {Hard}\n    rand_bytes = 0\n    rand_packets = 0\n    rand_time = 0";

    /// <summary>Keys and values of a conn in ipsec.conf. With rekey=no it has no limits at all; a margin of the whole leaves the soft one out.</summary>
    public (string Key, string Value)[] IpsecConf =>
        [(Unit == "time" ? "lifetime" : $"life{Unit}", $"{Hard}"), ("rekey", "yes"), ("rekeyfuzz", "0%"), ($"margin{Unit}", $"{Hard - (Soft ?? 0)}")];

    /// <inheritdoc/>
    public override string ToString() => $"{Unit} {(Soft is null ? "hard" : "soft")}";
}
