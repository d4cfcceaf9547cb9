using System.Buffers.Binary;

namespace Espalier.Wire.Packets;

/// <summary>
/// The part of an ESP packet that stands in clear (RFC 4303 §2), in host byte order.
/// <code>
/// |               Security Parameters Index (SPI)                 |
/// |                      Sequence Number                          |
/// </code>
/// </summary>
public readonly record struct EspHeader(uint Spi, uint Sequence)
{
    /// <summary>Bytes of SPI and sequence number.</summary>
    public const int Length = 8;

    /// <summary>False where fewer than eight bytes are there.</summary>
    public static bool TryParse(ReadOnlySpan<byte> esp, out EspHeader header)
    {
        header = default;
        if (esp.Length < Length)
        {
            return false;
        }

        header = new EspHeader(BinaryPrimitives.ReadUInt32BigEndian(esp), BinaryPrimitives.ReadUInt32BigEndian(esp[4..]));
        return true;
    }

    /// <summary>Writes the eight bytes; <paramref name="esp"/> must have room for them.</summary>
    public void Write(Span<byte> esp)
    {
        BinaryPrimitives.WriteUInt32BigEndian(esp, Spi);
        BinaryPrimitives.WriteUInt32BigEndian(esp[4..], Sequence);
    }
}
