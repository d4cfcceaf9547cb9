using Espalier.Lab.Hosts;
using Espalier.Lab.Net;

namespace Espalier.Lab.Measuring;

/// <summary>
/// strongSwan's source as Debian packs it, fetched by apt into a folder of the lab: the system's package lists are left alone. Debian's patches are not
/// in it.
/// </summary>
internal sealed class StrongswanSource
{
    private const string Package = "libcharon-extra-plugins", Limit = "90";
    private readonly string _root;

    private StrongswanSource(string root) => _root = root;

    /// <summary>What runs in the process of charon with libipsec, by folder: the part for ESP, and what it stands on.</summary>
    public static readonly (string Part, string Folder)[] Parts =
    [
        ("libipsec (ESP)", "src/libipsec"),
        ("kernel-libipsec (plugin)", "src/libcharon/plugins/kernel_libipsec"),
        ("libstrongswan (base, all plugins)", "src/libstrongswan"),
        ("libcharon (IKE, all plugins)", "src/libcharon"),
        ("charon-systemd", "src/charon-systemd"),
    ];

    /// <summary>Fetches the source of the installed version into <paramref name="folder"/>; throws with the command to do it by hand.</summary>
    public static async Task<StrongswanSource> FetchAsync(string folder, CancellationToken cancellation)
    {
        try
        {
            foreach (string part in (string[])["lists/partial", "cache/archives/partial"])
            {
                Directory.CreateDirectory(Path.Combine(folder, part));
            }

            string version = await Shell.RunAsync(["dpkg-query", "-W", "-f", "${source:Version}", Package], cancellation).ConfigureAwait(false);
            string policy = await Shell.RunAsync(["apt-cache", "policy", Package], cancellation).ConfigureAwait(false);
            string list = Path.Combine(folder, "sources.list");
            await File.WriteAllLinesAsync(list, SourceLists(policy), cancellation).ConfigureAwait(false);
            string[] apt =
            [
                "timeout", Limit, "apt-get", "-qq", "-o", $"Dir::Etc::SourceList={list}", "-o", "Dir::Etc::SourceParts=/dev/null", "-o", $"Dir::State::Lists={folder}/lists",
                "-o", $"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none",
            ];
            await Shell.RunAsync([.. apt, "update"], cancellation).ConfigureAwait(false);
            await Shell.RunAsync(["env", "-C", folder, .. apt, "source", "--download-only", "--tar-only", $"strongswan={version}"], cancellation).ConfigureAwait(false);
            string archive = Directory.EnumerateFiles(folder, "strongswan_*.orig.tar.*").FirstOrDefault(path => !path.EndsWith(".asc", StringComparison.Ordinal))
                ?? throw new LabException("apt-get brought no archive");
            await Shell.RunAsync(["tar", "-C", folder, "-xf", archive], cancellation).ConfigureAwait(false);
            return new StrongswanSource(Directory.EnumerateDirectories(folder, "strongswan-*").First());
        }
        catch (LabException exception)
        {
            throw new LabException($"strongSwan's source lines are not counted: apt-get source strongswan ({exception.Message})", exception);
        }
    }

    /// <summary>Lines of a part; libcharon's without the kernel-libipsec plugin, which is counted by itself.</summary>
    public int Lines(string folder) =>
        SourceLines.Count(Path.Combine(_root, folder), ".c", ".h") - (folder == "src/libcharon" ? Lines("src/libcharon/plugins/kernel_libipsec") : 0);

    /// <summary>Fuzz targets of this version, and those of them that are linked with libipsec.</summary>
    public (string[] All, string[] Esp) FuzzTargets()
    {
        string makefile = Path.Combine(_root, "fuzz/Makefile.am");
        if (!File.Exists(makefile))
        {
            return ([], []);
        }

        string text = File.ReadAllText(makefile).Replace("\\\n", " ", StringComparison.Ordinal);
        string[] all = text.Split('\n').FirstOrDefault(line => line.StartsWith("FUZZ_TARGETS", StringComparison.Ordinal))?.Split('=')[1].Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries) ?? [];
        return (all, text.Contains("libipsec", StringComparison.Ordinal) ? [.. all.Where(target => target.Contains("esp", StringComparison.Ordinal))] : []);
    }

    // `500 http://deb.debian.org/debian bookworm/main amd64 Packages`, from where a version of the package comes.
    private static IEnumerable<string> SourceLists(string policy) => policy.Split('\n')
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Where(words => words.Length > 2 && words[1].StartsWith("http", StringComparison.Ordinal) && words[2].Contains('/', StringComparison.Ordinal))
        .Select(words => $"deb-src {words[1]} {words[2].Replace('/', ' ')}").Distinct();
}
