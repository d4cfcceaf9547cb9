using System.Globalization;

namespace Espalier.Statistics;

/// <summary>Memory of this process in KiB, as /proc/self/status has it: resident, its anonymous part, and the peak.</summary>
internal readonly record struct ProcessMemory(long VmRss, long RssAnon, long VmHwm)
{
    /// <summary>Now; zeroes where /proc is not mounted.</summary>
    internal static ProcessMemory Read()
    {
        try
        {
            return Parse(File.ReadAllLines("/proc/self/status"));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    /// <summary>From the file's lines.</summary>
    internal static ProcessMemory Parse(string[] lines)
    {
        return new ProcessMemory(Field("VmRSS:"), Field("RssAnon:"), Field("VmHWM:"));

        long Field(string name)
        {
            string? line = Array.Find(lines, l => l.StartsWith(name, StringComparison.Ordinal));
            string? number = line?[name.Length..].Split(' ', '\t').FirstOrDefault(word => word.Length > 0);
            return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : 0;
        }
    }
}
