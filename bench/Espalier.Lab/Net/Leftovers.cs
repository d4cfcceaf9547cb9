using System.Globalization;

namespace Espalier.Lab.Net;

/// <summary>
/// What the lab makes carries its name and the process id of the lab that made it: espalier-lab-PID-… A lab that was killed leaves it behind, and the
/// next one removes it.
/// </summary>
internal static class Leftovers
{
    /// <summary>Beginning of all names.</summary>
    public const string Stem = "espalier-lab-";

    private const string Namespaces = "/run/netns";

    /// <summary>Removes what dead labs left; returns the names.</summary>
    public static async Task<IReadOnlyList<string>> RemoveAsync()
    {
        var removed = new List<string>();
        foreach (string name in Entries(Namespaces).Where(IsOrphan))
        {
            await RemoveNamespaceAsync(name).ConfigureAwait(false);
            removed.Add($"namespace {name}");
        }

        foreach (string cage in Cage.Folders().Where(folder => IsOrphan(Path.GetFileName(folder))))
        {
            await Cage.RemoveFolderAsync(cage).ConfigureAwait(false);
            removed.Add($"cgroup {cage}");
        }

        foreach (string name in Entries(Path.GetTempPath()).Where(IsOrphan))
        {
            SocketDefaults.RestoreFrom(Path.Combine(Path.GetTempPath(), name));
            Directory.Delete(Path.Combine(Path.GetTempPath(), name), recursive: true);
            removed.Add($"folder {name}");
        }

        Measuring.AllocationProbe.RemoveLeftovers();
        return removed;
    }

    /// <summary>Ends every process of a namespace and removes it, if it is there.</summary>
    public static async Task RemoveNamespaceAsync(string name)
    {
        if (!File.Exists(Path.Combine(Namespaces, name)))
        {
            return;
        }

        var pids = await Shell.TryAsync(["ip", "netns", "pids", name], CancellationToken.None).ConfigureAwait(false);
        string[] ids = pids.Output.Split((char[])['\n', ' '], StringSplitOptions.RemoveEmptyEntries);
        if (ids.Length > 0)
        {
            await Shell.TryAsync(["sh", "-c", $"kill -KILL {string.Join(' ', ids)}"], CancellationToken.None).ConfigureAwait(false);
        }

        await Shell.TryAsync(["ip", "netns", "del", name], CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>True for a name of a lab whose process has ended.</summary>
    public static bool IsOrphan(string name) =>
        name.StartsWith(Stem, StringComparison.Ordinal) &&
        int.TryParse(name[Stem.Length..].Split('-')[0], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) &&
        !IsLab(pid);

    // A process id may have been given to another program since.
    private static bool IsLab(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Contains("Espalier.Lab", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static IEnumerable<string> Entries(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFileSystemEntries(folder).Select(path => Path.GetFileName(path)!).ToArray() : [];
}
