using System.Globalization;
using Espalier.Lab.Net;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>How much there is to scrutinise, read from the running daemon and from the sources.</summary>
internal sealed class SurfaceExperiment : Experiment
{
    /// <inheritdoc/>
    public override string Name => "surface";

    /// <inheritdoc/>
    public override string Claim => "C5";

    /// <inheritdoc/>
    public override string Sentence => "Its code is less scrutinised than the kernel's and adds complexity.";

    /// <inheritdoc/>
    public override string Description => "of the running daemon: shared libraries, mapped code, threads, capabilities, kinds of system calls under load; of the sources: lines by part, dependencies, fuzz targets and hours, random cases of the tests";

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => 1;

    /// <inheritdoc/>
    public override bool Applies(Subject subject) => subject.HasProcesses && subject.Name != "ceiling";

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => subject.Name == "libipsec" ? 15 : 3;

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        int process = trial.Subject.ProcessId(trial.Bed.Moon) ?? throw new Hosts.LabException("moon's daemon has ended");
        string[] maps = await File.ReadAllLinesAsync($"/proc/{process}/maps", cancellation).ConfigureAwait(false);
        var code = maps.Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(fields => fields[1].Contains('x', StringComparison.Ordinal) && fields.Length > 5 && fields[5].StartsWith('/')).ToArray();
        string[] libraries = [.. code.Select(fields => fields[5]).Where(path => path.Contains(".so", StringComparison.Ordinal)).Distinct()];
        trial.Record("shared libraries", "1", libraries.Length, ("names", string.Join(' ', libraries.Select(Path.GetFileName))));
        trial.Record("code mapped", "MB", code.Sum(Length) / 1e6);
        string[] status = await File.ReadAllLinesAsync($"/proc/{process}/status", cancellation).ConfigureAwait(false);
        string Field(string name) => status.First(line => line.StartsWith(name, StringComparison.Ordinal)).Split('\t')[1].Trim();
        trial.Record("threads", "1", int.Parse(Field("Threads:"), CultureInfo.InvariantCulture));
        ulong capabilities = ulong.Parse(Field("CapEff:"), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        trial.Record("capabilities held", "1", System.Numerics.BitOperations.PopCount(capabilities), ("user", Field("Uid:")), ("mask", Field("CapEff:")));
        await SystemCallsAsync(trial, process, cancellation).ConfigureAwait(false);
        if (trial.Subject is EspalierSubject)
        {
            SourceSurface.Espalier(trial);
        }
        else if (trial.Subject is LibipsecSubject)
        {
            await SourceSurface.StrongswanAsync(trial, cancellation).ConfigureAwait(false);
        }
    }

    // strace stops the process at each call: nothing is timed meanwhile.
    private static async Task SystemCallsAsync(Trial trial, int process, CancellationToken cancellation)
    {
        if (!Shell.Has("strace"))
        {
            trial.Fail("system calls are not counted: strace is missing: apt-get install strace");
            return;
        }

        string file = Path.Combine(trial.Bed.Folder, "strace");
        var tracing = Shell.TryAsync(["timeout", "-s", "INT", "2", "strace", "-f", "-qq", "-c", "-o", file, "-p", $"{process}"], cancellation);
        await Task.Delay(300, cancellation).ConfigureAwait(false);
        await trial.Loads.UdpAsync(1300, 500, 1).ConfigureAwait(false);
        await tracing.ConfigureAwait(false);
        string[] calls = File.Exists(file)
            ? [.. (await File.ReadAllLinesAsync(file, cancellation).ConfigureAwait(false)).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(f => f.Length >= 5 && char.IsDigit(f[0][0])).Select(f => f[^1]).Where(n => n != "total")]
            : [];
        if (calls.Length == 0)
        {
            trial.Fail("system calls are not counted: strace may not look at the process");
            return;
        }

        trial.Record("kinds of system calls under load", "1", calls.Length, ("names", string.Join(' ', calls.Order())));
    }

    private static long Length(string[] fields)
    {
        string[] range = fields[0].Split('-');
        return long.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture) - long.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
