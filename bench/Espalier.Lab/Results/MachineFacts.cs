using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Espalier.Lab.Net;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Results;

/// <summary>What a reader must know of the machine.</summary>
internal static class MachineFacts
{
    /// <summary>Gathers it.</summary>
    public static async Task<JsonObject> GatherAsync(IEnumerable<Subject> subjects, CancellationToken cancellation)
    {
        var versions = new JsonObject { [".NET"] = RuntimeInformation.FrameworkDescription };
        if (await SourceAsync(cancellation).ConfigureAwait(false) is { } source)
        {
            versions["source"] = source;
        }

        if (Shell.Has("openssl"))
        {
            versions["OpenSSL"] = (await Shell.TryAsync(["openssl", "version"], cancellation).ConfigureAwait(false)).Output.Trim();
        }

        foreach (var subject in subjects.DistinctBy(s => s.Name))
        {
            string version = await subject.VersionAsync(cancellation).ConfigureAwait(false);
            if (version.Length > 0)
            {
                versions[subject.Name] = version;
            }
        }

        return new JsonObject
        {
            ["kernel"] = Read("/proc/sys/kernel/osrelease"),
            ["system"] = Field("/etc/os-release", "PRETTY_NAME=")?.Trim('"'),
            ["cpu"] = Field("/proc/cpuinfo", "model name")?.TrimStart('\t', ':', ' '),
            ["cpuFlags"] = string.Join(' ', (Field("/proc/cpuinfo", "flags") ?? "").Split(' ').Intersect(["aes", "vaes", "vpclmulqdq", "avx2", "avx512f", "gfni"])),
            ["cores"] = Environment.ProcessorCount,
            ["memoryBytes"] = long.Parse(Field("/proc/meminfo", "MemTotal:")!.Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) * 1024,
            ["hypervisor"] = File.Exists("/sys/hypervisor/type") ? Read("/sys/hypervisor/type") : Field("/proc/cpuinfo", "flags")?.Contains("hypervisor", StringComparison.Ordinal) == true ? "yes" : "no",
            ["loadAverage"] = Read("/proc/loadavg"),
            ["versions"] = versions,
        };
    }

    // The last commit of what is measured and of what measures; a change of the documents is none.
    private static async Task<string?> SourceAsync(CancellationToken cancellation)
    {
        if (!Shell.Has("git"))
        {
            return null;
        }

        string[] Git(params string[] words) => ["git", "-C", Published.Root, .. words, "--", "src", "native", "bench/Espalier.Lab", "bench/Espalier.Lab.Traffic"];
        var commit = await Shell.TryAsync(Git("log", "-1", "--format=%h"), cancellation).ConfigureAwait(false);
        var changes = await Shell.TryAsync(Git("status", "--porcelain"), cancellation).ConfigureAwait(false);
        return commit.ExitCode != 0 ? null : commit.Output.Trim() + (changes.Output.Length > 0 ? " with changes" : "");
    }

    private static string Read(string path) => File.ReadAllText(path).Trim();

    private static string? Field(string path, string name) =>
        File.Exists(path) ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?[name.Length..].Trim() : null;
}
