using System.Globalization;
using System.Runtime.InteropServices;
using Espalier.Lab.Net;

namespace Espalier.Lab.Measuring;

/// <summary>
/// Where a process's memcpy and memmove really are. The C library chooses among several by processor, so their names lead only to the chooser; what was chosen
/// stands in the tables (GOT) by which the process's libraries call them.
/// </summary>
internal static class CopyFunctions
{
    /// <summary>The register that holds the third argument, the length, as the kernel's uprobes name it; null on an architecture that this does not know.</summary>
    public static string? LengthRegister => RuntimeInformation.OSArchitecture switch
    {
        Architecture.X64 => "%dx",
        Architecture.Arm64 => "%x2",
        _ => null,
    };

    /// <summary>File offsets in the C library at <paramref name="library"/> that <paramref name="process"/> calls to copy; empty if none are found.</summary>
    public static async Task<IReadOnlyList<ulong>> FindAsync(int process, string library, CancellationToken cancellation)
    {
        Mapping[] maps = [.. File.ReadLines($"/proc/{process}/maps").Select(Mapping.Parse).OfType<Mapping>()];
        var offsets = new SortedSet<ulong>();
        foreach (var first in maps.Where(map => map.FileOffset == 0 && map.Path != library).DistinctBy(map => map.Path))
        {
            foreach (ulong slot in await SlotsAsync(first.Path, cancellation).ConfigureAwait(false))
            {
                ulong address = ReadPointer(process, first.Start + slot);
                if (Array.Find(maps, map => map.Path == library && address >= map.Start && address < map.End) is { } target)
                {
                    offsets.Add(address - target.Start + target.FileOffset);
                }
            }
        }

        return [.. offsets];
    }

    // Addresses, from where the file is loaded, of its table's entries for memcpy and memmove.
    private static async Task<IEnumerable<ulong>> SlotsAsync(string path, CancellationToken cancellation)
    {
        var relocations = await Shell.TryAsync(["readelf", "-rW", path], cancellation).ConfigureAwait(false);
        return relocations.Output.Split('\n')
            .Where(line => line.Contains(" memcpy@", StringComparison.Ordinal) || line.Contains(" memmove@", StringComparison.Ordinal))
            .Select(line => ulong.Parse(line.Split(' ', 2)[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
    }

    private static ulong ReadPointer(int process, ulong address)
    {
        using var memory = File.OpenHandle($"/proc/{process}/mem");
        Span<byte> pointer = stackalloc byte[sizeof(ulong)];
        return RandomAccess.Read(memory, pointer, (long)address) == pointer.Length ? MemoryMarshal.Read<ulong>(pointer) : 0;
    }

    private sealed record Mapping(ulong Start, ulong End, ulong FileOffset, string Path)
    {
        /// <summary>A line of /proc/PID/maps; null without a file.</summary>
        public static Mapping? Parse(string line)
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 6 || !fields[5].StartsWith('/'))
            {
                return null;
            }

            ulong[] numbers = [.. fields[0].Split('-').Append(fields[2]).Select(hex => ulong.Parse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
            return new Mapping(numbers[0], numbers[1], numbers[2], fields[5]);
        }
    }
}
