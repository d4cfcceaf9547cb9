using System.Buffers.Text;

namespace Espalier.Statistics;

/// <summary>Memory of this process in KiB, as /proc/self/status has it: resident, its anonymous part, and the peak.</summary>
internal readonly record struct ProcessMemory(long VmRss, long RssAnon, long VmHwm)
{
    private const int LongestFile = 8192;

    /// <summary>Now; zeroes where /proc is not mounted.</summary>
    internal static ProcessMemory Read()
    {
        Span<byte> text = stackalloc byte[LongestFile];
        try
        {
            using var file = File.OpenHandle("/proc/self/status");
            return Parse(text[..RandomAccess.Read(file, text, 0)]);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            return default;
        }
    }

    /// <summary>From the file's text.</summary>
    internal static ProcessMemory Parse(ReadOnlySpan<byte> text) =>
        new(Field(text, "\nVmRSS:"u8), Field(text, "\nRssAnon:"u8), Field(text, "\nVmHWM:"u8));

    private static long Field(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        int at = text.IndexOf(name);
        return at >= 0 && Utf8Parser.TryParse(text[(at + name.Length)..].TrimStart(" \t"u8), out long value, out _) ? value : 0;
    }
}
