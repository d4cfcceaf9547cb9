using System.Globalization;

namespace Espalier.Lab.Hosts;

/// <summary>Resident memory of a process in KiB, as /proc/PID/status gives it.</summary>
public sealed record ProcessMemory(long VmRss, long RssAnon, long VmHwm)
{
    /// <summary>Reads it now; null if the process has ended.</summary>
    public static ProcessMemory? Read(int pid)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines($"/proc/{pid}/status");
        }
        catch (IOException)
        {
            return null; // ended between the caller's look and ours
        }

        long Field(string name)
        {
            string? line = lines.FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
        }

        return new ProcessMemory(Field("VmRSS:"), Field("RssAnon:"), Field("VmHWM:"));
    }
}
