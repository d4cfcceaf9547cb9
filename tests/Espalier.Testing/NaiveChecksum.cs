namespace Espalier.Testing;

/// <summary>The Internet checksum by the words of RFC 1071, for packets that tests make and as the model of the fast one.</summary>
public static class NaiveChecksum
{
    /// <summary>The folded sum of 16-bit big-endian words, not complemented; an odd last byte counts as if a zero followed.</summary>
    public static ushort Sum(ReadOnlySpan<byte> data)
    {
        uint sum = 0;
        for (int i = 0; i < data.Length; i += 2)
        {
            sum += (uint)(data[i] << 8) | (i + 1 < data.Length ? data[i + 1] : 0u);
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (ushort)sum;
    }

    /// <summary>What stands in the header; 0 over data that holds a right checksum.</summary>
    public static ushort Of(ReadOnlySpan<byte> data) => (ushort)~Sum(data);
}
