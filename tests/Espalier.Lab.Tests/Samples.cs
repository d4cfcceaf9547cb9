using System.Text.Json.Nodes;
using Espalier.Lab.Results;

namespace Espalier.Lab.Tests;

/// <summary>Result files made up for tests.</summary>
internal static class Samples
{
    /// <summary>A file with nothing measured.</summary>
    public static ResultFile Empty() => new()
    {
        Started = new DateTime(2026, 5, 1, 12, 0, 0, DateTimeKind.Utc),
        Machine = new JsonObject { ["kernel"] = "6.18", ["cpu"] = "a <fast> one", ["cores"] = 2, ["memoryBytes"] = 1L << 34, ["versions"] = new JsonObject { ["espalier"] = "0.1.0" } },
        Seed = 5,
        Settings = LabSettings.ShortProfile(5),
        Experiments = ["tcp"],
        Subjects = ["espalier:ipsec-mb", "libipsec", "direct", "ceiling:gcm"],
    };

    /// <summary>A file in which Espalier is <paramref name="factor"/> times as fast as libipsec, which floods do not suit.</summary>
    public static ResultFile Measured(double factor = 16)
    {
        var file = Empty();
        for (int i = 0; i < 5; i++)
        {
            double machine = 1 + (0.1 * i);
            Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", i, 0.5 * machine);
            Add(file, "tcp", "espalier", "ipsec-mb", "one stream", "Gb/s", i, 0.5 * factor * machine);
            Add(file, "tcp", "ceiling", "gcm", "one stream", "Gb/s", i, 9 * machine);
            Add(file, "tcp", "direct", "", "one stream", "Gb/s", i, 20 * machine);
            Add(file, "memory", "libipsec", "", "UDP flood, 64 B, peak over idle", "ratio", i, 70);
            Add(file, "memory", "espalier", "ipsec-mb", "UDP flood, 64 B, peak over idle", "ratio", i, 1.02);
            Add(file, "latency", "libipsec", "", "under TCP, 99 %", "µs", i, double.PositiveInfinity);
        }

        Series(file, "memory", "libipsec", "", "over time", "MB", [0, 1, 2, 3], [11, 200, 600, 800]);
        Series(file, "memory", "espalier", "ipsec-mb", "over time", "MB", [0, 1, 2, 3], [14, 14, 14.2, 14.2]);
        Series(file, "oom", "libipsec", "", "128 MiB, 100 %: memory", "MB", [0, 1, 2], [11, 90, 130], new JsonObject { ["killedAt"] = 2.0 });
        Add(file, "oom", "libipsec", "", "128 MiB, 100 %: until the OOM killer", "s", 0, 2);
        file.Failures.Add(new Failure("tcp", "openvpn", "", 1, "no answer through the tunnel"));
        file.Missing.Add(new MissingSubject("xfrm", "this kernel has no ESP"));
        return file;
    }

    /// <summary>Adds a sample.</summary>
    public static void Add(ResultFile file, string experiment, string subject, string variant, string metric, string unit, int alternation, double sample) =>
        file.Add(experiment, subject, variant, metric, unit, alternation, sample, new JsonObject { ["mtu"] = 1400 });

    private static void Series(ResultFile file, string experiment, string subject, string variant, string metric, string unit, double[] x, double[] y, JsonObject? parameters = null) =>
        file.SetSeries(experiment, subject, variant, metric, unit, new Axis("time", "s", x), y, parameters ?? []);
}
