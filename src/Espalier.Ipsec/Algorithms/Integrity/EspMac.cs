namespace Espalier.Ipsec.Algorithms.Integrity;

/// <summary>
/// A MAC for ESP. One thread at a time. Failures of the library come as
/// <see cref="System.Security.Cryptography.CryptographicException"/>, never because of a packet's content.
/// </summary>
internal abstract class EspMac : IDisposable
{
    /// <summary>Bytes of the longest MAC (HMAC-SHA-512).</summary>
    public const int LongestMac = 64;

    /// <summary>Computes the MAC of <paramref name="data"/> followed by <paramref name="tail"/>, not truncated.</summary>
    /// <param name="data">The packet from the SPI to the next header, at most <see cref="PacketScratch.LongestPacket"/> bytes.</param>
    /// <param name="tail">The high half of an extended sequence number, or nothing.</param>
    /// <param name="mac">At least <see cref="LongestMac"/> bytes.</param>
    public abstract void Compute(ReadOnlySpan<byte> data, ReadOnlySpan<byte> tail, Span<byte> mac);

    /// <summary>Releases native handles and zeroes keys.</summary>
    public abstract void Dispose();
}
