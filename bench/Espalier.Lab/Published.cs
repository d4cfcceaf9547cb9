using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;

namespace Espalier.Lab;

/// <summary>Our own programs as Native AOT publishes them.</summary>
internal static class Published
{
    // With about how long it takes where it has to be compiled.
    private static readonly (string Project, double Seconds)[] _publishing = [("src/Espalier", 60), ("bench/Espalier.Lab.Traffic", 25)];

    /// <summary>Top folder of the project.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The daemon.</summary>
    public static string Espalier => Path.Combine(Root, "artifacts/publish/Espalier/release/espalier");

    /// <summary>Generator and sink.</summary>
    public static string Traffic => Path.Combine(Root, "artifacts/publish/Espalier.Lab.Traffic/release/espalier-lab-traffic");

    /// <summary>The command that publishes a project.</summary>
    public static string Command(string project) => $"dotnet publish {project} -c Release";

    /// <summary>Publishes both, so that what is measured is what stands in the source.</summary>
    public static Task PublishAsync(CancellationToken cancellation) => LabProgress.RunAsync(_publishing.Sum(project => project.Seconds), async progress =>
    {
        foreach (var (project, seconds) in _publishing)
        {
            progress.Begin($"publishing {project} (Native AOT)", seconds);
            await Shell.RunAsync(["dotnet", "publish", Path.Combine(Root, project), "-c", "Release", "-v", "quiet", "-clp:NoSummary"], cancellation).ConfigureAwait(false);
            progress.End();
        }
    });

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Espalier.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new LabException("the lab runs from the project's folder: no Espalier.slnx above the program");
    }
}
