using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>The check that each transform makes before it slices a packet.</summary>
internal static class PacketSizes
{
    /// <summary>True if a packet of this length has header, IV, at least one aligned unit of ciphertext and ICV (RFC 4303 §2).</summary>
    public static bool Fit(EspGeometry geometry, int packetLength)
    {
        int ciphertext = packetLength - EspGeometry.HeaderLength - geometry.IvLength - geometry.IcvLength;
        return ciphertext >= geometry.Alignment && (ciphertext & (geometry.Alignment - 1)) == 0
            && packetLength <= PacketScratch.LongestPacket;
    }
}
