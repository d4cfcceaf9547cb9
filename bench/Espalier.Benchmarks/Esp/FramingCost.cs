using System.Diagnostics;
using System.Globalization;
using Espalier.Crypto;

namespace Espalier.Benchmarks.Esp;

/// <summary>
/// What a packet costs in the library above its crypto. Engines, sizes and kinds take turns of some milliseconds in one run, so that what else the
/// machine does falls on all alike; the difference is taken within a round, and its median and quartiles are printed.
/// </summary>
internal static class FramingCost
{
    private const int Warmup = 50;
    private static readonly PacketSize[] s_sizes = [new(64), new(1_400)];

    internal static void Run(int rounds, TextWriter output)
    {
        var subjects = CryptoEngines.Survey().Where(found => found.Engine is not null)
            .SelectMany(found => s_sizes.Select(size => (found.Name, Size: size, Scenario: new EspScenario(found.Engine!, size))))
            .SelectMany(entry => new[]
            {
                new Subject(entry.Name, entry.Size, "seal", entry.Scenario.SealBare, entry.Scenario.Seal),
                new Subject(entry.Name, entry.Size, $"seal, batch of {Workload.Packets}", entry.Scenario.SealBare, entry.Scenario.SealBatch),
                new Subject(entry.Name, entry.Size, "open", () => entry.Scenario.OpenBare(), () => entry.Scenario.Open()),
                new Subject(entry.Name, entry.Size, $"open, batch of {Workload.Packets}", () => entry.Scenario.OpenBatchBare(), () => entry.Scenario.OpenBatch()),
            }).ToArray();
        for (int round = -Warmup; round < rounds; round++)
        {
            foreach (var subject in subjects)
            {
                double bare = Time(subject.Bare), whole = Time(subject.Whole);
                if (round >= 0)
                {
                    subject.BareTimes.Add(bare);
                    subject.WholeTimes.Add(whole);
                    subject.Differences.Add(whole - bare);
                }
            }
        }

        output.WriteLine($"| engine | bytes | | bare, ns | in the library, ns | above the bare call, ns | quartiles |{Environment.NewLine}| --- | --- | --- | --- | --- | --- | --- |");
        foreach (var s in subjects)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {s.Engine} | {s.Size} | {s.Kind} | {Quantile(s.BareTimes, 0.5):0} | {Quantile(s.WholeTimes, 0.5):0} | {Quantile(s.Differences, 0.5):0} | {Quantile(s.Differences, 0.25):0} to {Quantile(s.Differences, 0.75):0} |"));
        }
    }

    // Short, so that most runs are not interrupted by whatever else runs.
    private static double Time(Action action)
    {
        const int Batches = 10;
        action(); // Caches as they will be.
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Batches; i++)
        {
            action();
        }

        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / (Batches * Workload.Packets);
    }

    private static double Quantile(List<double> values, double quantile)
    {
        double[] sorted = [.. values.Order()];
        return sorted[(int)(quantile * (sorted.Length - 1))];
    }

    private sealed record Subject(string Engine, PacketSize Size, string Kind, Action Bare, Action Whole)
    {
        public List<double> BareTimes { get; } = [];

        public List<double> WholeTimes { get; } = [];

        public List<double> Differences { get; } = [];
    }
}
