using System.Collections;
using System.Globalization;
using Espalier.CommandLine;

namespace Espalier.Executing;

/// <summary>What the program started by `exec` finds in its environment.</summary>
internal static class ChildEnvironment
{
    /// <summary>This process's environment with ESPALIER_CONTROL, LD_PRELOAD and, if the data plane named one, ESPALIER_MARK.</summary>
    internal static IReadOnlyList<string> Build(string control, string library, uint? mark)
    {
        var result = new List<string>();
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            if (entry.Key is not (Defaults.ControlVariable or "LD_PRELOAD") && !(mark is not null && entry.Key is Defaults.MarkVariable))
            {
                result.Add($"{entry.Key}={entry.Value}");
            }
        }

        result.Add($"{Defaults.ControlVariable}={control}");
        result.Add($"LD_PRELOAD={PreloadLibrary.Prepend(library, Environment.GetEnvironmentVariable("LD_PRELOAD"))}");
        if (mark is { } value)
        {
            result.Add(string.Create(CultureInfo.InvariantCulture, $"{Defaults.MarkVariable}=0x{value:x}"));
        }

        return result;
    }

    /// <summary>
    /// The soft limit of open files of the parent: .NET raises its own to the hard limit at start, and a program that uses select(2) must not
    /// inherit that. Null where it cannot be read.
    /// </summary>
    internal static ulong? OpenFilesBeforeRuntime()
    {
        try
        {
            string? line = File.ReadLines($"/proc/{ParentProcess()}/limits").FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
            string? soft = line?["Max open files".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
            return ulong.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out ulong limit) ? limit : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string ParentProcess()
    {
        // /proc/self/stat: pid (comm) state ppid …; comm may hold spaces and parentheses.
        string stat = File.ReadAllText("/proc/self/stat");
        return stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1];
    }
}
