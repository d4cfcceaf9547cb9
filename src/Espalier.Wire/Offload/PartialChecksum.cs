using System.Buffers.Binary;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Offload;

/// <summary>Completes a checksum that the kernel left to the device (CHECKSUM_PARTIAL) in a packet that needs no cutting.</summary>
public static class PartialChecksum
{
    /// <summary>
    /// Completes the checksum of <paramref name="packet"/> in place if <paramref name="header"/> asks for it. As in the kernel's
    /// skb_checksum_help, a computed 0 is written as all ones, which is the same number and in UDP the only way to write it (RFC 768).
    /// False where the field would lie past the packet or the packet is one to be cut; nothing is changed then.
    /// </summary>
    public static bool TryComplete(Span<byte> packet, in VnetHeader header)
    {
        if (header.GsoType != GsoType.None)
        {
            return false;
        }

        if (!header.NeedsChecksum)
        {
            return true;
        }

        int field = header.ChecksumStart + header.ChecksumOffset;
        if (field + sizeof(ushort) > packet.Length)
        {
            return false;
        }

        // The sum of the pseudo header already stands in the field, and is summed with the rest.
        ushort checksum = InternetChecksum.Compute(packet[header.ChecksumStart..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[field..], checksum == 0 ? (ushort)0xFFFF : checksum);
        return true;
    }
}
