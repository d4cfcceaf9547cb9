using System.Globalization;
using System.Text.RegularExpressions;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;

namespace Espalier.Lab.Measuring;

/// <summary>
/// Counts calls of the C library's allocator, and copies of a packet's length, in a running process, by uprobes: the kernel counts, the process is not
/// stopped, but each call costs it a trap, so nothing is timed meanwhile.
/// </summary>
internal sealed partial class AllocationProbe : IAsyncDisposable
{
    private const string TraceFolder = "/sys/kernel/tracing", Events = TraceFolder + "/uprobe_events", Stem = "espalier_lab_";
    private static readonly string[] _functions = ["malloc", "calloc", "realloc"];
    private readonly string _group = string.Create(CultureInfo.InvariantCulture, $"{Stem}{Environment.ProcessId}");

    private readonly bool _mounted;
    private readonly List<string> _copies = [];

    private AllocationProbe(bool mounted) => _mounted = mounted;

    /// <summary>Null if this machine can do it, else why not.</summary>
    public static string? WhatIsMissing() => !Shell.Has("perf") ? "perf is missing: apt-get install linux-perf" : !Directory.Exists(TraceFolder) ? "the kernel has no tracefs" : null;

    /// <summary>Sets the probes in the C library that <paramref name="process"/> has loaded; mounts tracefs where it is not.</summary>
    public static async Task<AllocationProbe> StartAsync(int process, CancellationToken cancellation)
    {
        bool mount = !File.Exists(Events);
        if (mount)
        {
            await Shell.RunAsync($"mount -t tracefs tracefs {TraceFolder}", cancellation).ConfigureAwait(false);
        }

        RemoveLeftovers(); // where tracefs was not mounted, the start of the lab did not see them
        string library = File.ReadLines($"/proc/{process}/maps").Select(line => line.Split(' ')[^1]).FirstOrDefault(path => LibC().IsMatch(path))
            ?? throw new LabException("the process has no C library loaded");
        var probe = new AllocationProbe(mount);
        foreach (string function in _functions)
        {
            // perf takes no name that another group has.
            await Shell.RunAsync(["perf", "probe", "-q", "-x", library, $"{probe.Event(function)}={function}"], cancellation).ConfigureAwait(false);
        }

        if (CopyFunctions.LengthRegister is { } register && Shell.Has("readelf"))
        {
            foreach (ulong offset in await CopyFunctions.FindAsync(process, library, cancellation).ConfigureAwait(false))
            {
                string name = string.Create(CultureInfo.InvariantCulture, $"copy{probe._copies.Count}");
                File.AppendAllText(Events, string.Create(CultureInfo.InvariantCulture, $"p:{probe.Event(name).Replace(':', '/')} {library}:0x{offset:x} length={register}:u64\n"));
                probe._copies.Add(name);
            }
        }

        return probe;
    }

    /// <summary>Calls in <paramref name="process"/> within <paramref name="seconds"/>.</summary>
    public Task<long> CountAsync(int process, double seconds, CancellationToken cancellation) =>
        CountAsync(process, seconds, [.. _functions.SelectMany(function => (string[])["-e", Event(function)])], _functions.Length, cancellation);

    /// <summary>Copies of <paramref name="least"/> to <paramref name="most"/> bytes by the C library's memcpy and memmove; null where they cannot be found (no readelf).</summary>
    public async Task<long?> CountCopiesAsync(int process, double seconds, int least, int most, CancellationToken cancellation)
    {
        string filter = string.Create(CultureInfo.InvariantCulture, $"length >= {least} && length <= {most}");
        return _copies.Count == 0
            ? null
            : await CountAsync(process, seconds, [.. _copies.SelectMany(name => (string[])["-e", Event(name), "--filter", filter])], _copies.Count, cancellation).ConfigureAwait(false);
    }

    private string Event(string name) => string.Create(CultureInfo.InvariantCulture, $"{_group}:{name}_{Environment.ProcessId}");

    private async Task<long> CountAsync(int process, double seconds, string[] events, int expected, CancellationToken cancellation)
    {
        var counted = await Shell.TryAsync(
            ["perf", "stat", "-x", ",", .. events, "-p", $"{process}", "--", "sleep", seconds.ToString("R", CultureInfo.InvariantCulture)], cancellation).ConfigureAwait(false);
        var counts = counted.Error.Split('\n').Where(line => line.Contains(_group, StringComparison.Ordinal)).Select(line => line.Split(',')[0]).ToArray();

        // A process that did not run at all was `<not counted>`.
        return counts.Length == expected && counts.All(count => count == "<not counted>" || long.TryParse(count, CultureInfo.InvariantCulture, out _))
            ? counts.Sum(count => count[0] == '<' ? 0 : long.Parse(count, CultureInfo.InvariantCulture))
            : throw new LabException($"perf stat counted nothing: {counted.OneLine}");
    }

    /// <summary>Removes probes that dead labs left.</summary>
    public static void RemoveLeftovers()
    {
        if (File.Exists(Events))
        {
            foreach (string line in File.ReadAllLines(Events).Where(line => line.Contains($":{Stem}", StringComparison.Ordinal)))
            {
                string name = line.Split(' ')[0].Split(':')[1];
                string pid = name[Stem.Length..].Split('/')[0];
                if (Leftovers.IsOrphan($"{Leftovers.Stem}{pid}"))
                {
                    File.AppendAllText(Events, $"-:{name}\n");
                }
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Shell.TryAsync(["perf", "probe", "-q", "-d", $"{_group}:*"], CancellationToken.None).ConfigureAwait(false);
        if (_mounted)
        {
            await Shell.TryAsync(["umount", TraceFolder], CancellationToken.None).ConfigureAwait(false); // refused while another uses it
        }
    }

    [GeneratedRegex(@"/libc[.-].*\.so|/libc\.so\.6")]
    private static partial Regex LibC();
}
