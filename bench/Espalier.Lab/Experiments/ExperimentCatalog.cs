using Espalier.Lab.Cli;

namespace Espalier.Lab.Experiments;

/// <summary>The experiments there are.</summary>
internal static class ExperimentCatalog
{
    /// <summary>All, in the order in which they run.</summary>
    public static readonly Experiment[] All =
        [new TcpExperiment(), new UdpExperiment(), new LatencyExperiment(), new MemoryExperiment(), new ScaleExperiment(),
            new BufferingExperiment(), new OomExperiment(), new LockupExperiment(), new SurfaceExperiment()];

    /// <summary>Experiments by name; all for none.</summary>
    public static IReadOnlyList<Experiment> Parse(IReadOnlyList<string> names) => names.Count == 0
        ? All
        : [.. names.Distinct().Select(name => Array.Find(All, e => e.Name == name)
            ?? throw new UsageException(name.StartsWith('-') ? $"there is no option {name}" : $"there is no experiment '{name}'; there are {string.Join(", ", All.Select(e => e.Name))}"))];
}
