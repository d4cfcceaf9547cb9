using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>The check that each transform makes before it slices a packet.</summary>
internal static class PacketSizes
{
    /// <summary>True if a packet of this length has header, IV, trailer and ICV, whole blocks of the cipher (RFC 4303 §2), and room in the scratch memory.</summary>
    public static bool Fit(EspGeometry geometry, int packetLength) =>
        geometry.CanBeOpened(packetLength) && packetLength <= PacketScratch.LongestPacket;
}
