using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Espalier.Wire.Addresses;

namespace Espalier.Wire.Checksums;

/// <summary>
/// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit big-endian words.
/// A running sum is a plain 64-bit total of 32-bit words in the machine's own byte order, which is right because the sum does not
/// care about byte order until it is folded (RFC 1071 §2 B) and 2^16 is 1 modulo 2^16-1; it cannot overflow below 2^34 bytes.
/// Checksums taken and returned are numbers in host byte order, to be written big-endian.
/// </summary>
public static class InternetChecksum
{
    /// <summary>
    /// Adds <paramref name="data"/> to a running sum. Where several pieces are added, all but the last have an even length;
    /// an odd last byte counts as if a zero followed (RFC 1071 §4.1).
    /// </summary>
    public static ulong Sum(ReadOnlySpan<byte> data, ulong sum = 0)
    {
        // Vectors of 512 bits: where the processor has only shorter ones, the compiler makes two or four of each.
        var vectors = MemoryMarshal.Cast<byte, Vector512<ulong>>(data);
        if (!vectors.IsEmpty)
        {
            // The sum of the low halves is what the sum of the wholes has beyond that of the high halves, modulo 2^64 and thus exactly.
            var whole = Vector512<ulong>.Zero;
            var high = Vector512<ulong>.Zero;
            foreach (var vector in vectors)
            {
                whole += vector;
                high += vector >>> 32;
            }

            sum += Vector512.Sum(whole - (high << 32) + high);
            data = data[(vectors.Length * Vector512<byte>.Count)..];
        }

        foreach (ulong words in MemoryMarshal.Cast<byte, ulong>(data))
        {
            sum += (uint)words + (words >> 32);
        }

        data = data[(data.Length & ~7)..];
        if (data.Length >= sizeof(uint))
        {
            sum += MemoryMarshal.Read<uint>(data);
            data = data[sizeof(uint)..];
        }

        if (data.Length >= sizeof(ushort))
        {
            sum += MemoryMarshal.Read<ushort>(data);
            data = data[sizeof(ushort)..];
        }

        return data.IsEmpty ? sum : sum + (BitConverter.IsLittleEndian ? data[0] : (uint)data[0] << 8);
    }

    /// <summary>What a 16-bit word, a number in host byte order, adds to a running sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Word(ushort value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>
    /// The sum of the pseudo header that UDP, TCP and ICMPv6 put before themselves (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1);
    /// <paramref name="length"/> is that of the upper-layer packet.
    /// </summary>
    public static ulong SumPseudoHeader(InternetAddress source, InternetAddress destination, byte protocol, int length)
    {
        Span<byte> header = stackalloc byte[40];
        int offset = source.Write(header);
        offset += destination.Write(header[offset..]);
        BinaryPrimitives.WriteInt32BigEndian(header[offset..], length);
        BinaryPrimitives.WriteInt32BigEndian(header[(offset + 4)..], protocol);
        return Sum(header[..(offset + 8)]);
    }

    /// <summary>Folds a running sum to 16 bits, not complemented. Over data that includes a right checksum it is 0xFFFF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Fold(ulong sum)
    {
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness((ushort)sum) : (ushort)sum;
    }

    /// <summary>The checksum of a running sum: folded and complemented.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Finish(ulong sum) => (ushort)~Fold(sum);

    /// <summary>The checksum of <paramref name="data"/>, in which the checksum field is zero.</summary>
    public static ushort Compute(ReadOnlySpan<byte> data) => Finish(Sum(data));

    /// <summary>True where <paramref name="data"/> includes a right checksum.</summary>
    public static bool IsValid(ReadOnlySpan<byte> data) => Fold(Sum(data)) == 0xFFFF;

    /// <summary>
    /// The checksum after one 16-bit word of the data has changed (RFC 1624 §3, equation 3: HC' = ~(~HC + ~m + m')).
    /// A checksum that was wrong stays wrong.
    /// </summary>
    public static ushort Update(ushort checksum, ushort oldWord, ushort newWord)
    {
        uint sum = (uint)(ushort)~checksum + (ushort)~oldWord + newWord;
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)~sum;
    }
}
