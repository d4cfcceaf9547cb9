using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-GMAC (RFC 4543, ENCR_NULL_AUTH_AES_GMAC) by the platform: GCM with nothing to encrypt. The associated data are the whole
/// packet before the ICV, the IV included (RFC 4543 §3.3):
/// <code>
///  | SPI | (high half, with ESN) | sequence, low half | IV | payload … padding | pad length | next header |
/// </code>
/// With ESN, what follows the SPI is moved right by 4 bytes, into the ICV's room, for the time of the computation.
/// </summary>
internal sealed class AesGmacTransform(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : AeadTransform(salt, parameters)
{
    private const int HighLength = 4;

    private readonly AesGcm _gcm = new(key, parameters.IcvLength);

    protected override void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> icv = stackalloc byte[Geometry.IcvLength];
        var authenticated = InsertHigh(packet, sequence);
        _gcm.Encrypt(nonce, [], [], icv, authenticated);
        RemoveHigh(packet);
        icv.CopyTo(Icv(packet));
    }

    protected override bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> icv = stackalloc byte[Geometry.IcvLength];
        Icv(packet).CopyTo(icv);
        var authenticated = InsertHigh(packet, sequence);
        _gcm.Decrypt(nonce, [], icv, [], authenticated);
        RemoveHigh(packet);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _gcm.Dispose();
        }

        base.Dispose(disposing);
    }

    private Span<byte> InsertHigh(Span<byte> packet, ulong sequence)
    {
        int length = packet.Length - Geometry.IcvLength;
        if (!UsesEsn)
        {
            return packet[..length];
        }

        packet[4..length].CopyTo(packet[(4 + HighLength)..]);
        BinaryPrimitives.WriteUInt32BigEndian(packet[4..], (uint)(sequence >> 32));
        return packet[..(length + HighLength)];
    }

    private void RemoveHigh(Span<byte> packet)
    {
        if (UsesEsn)
        {
            int length = packet.Length - Geometry.IcvLength;
            packet.Slice(4 + HighLength, length - 4).CopyTo(packet[4..]);
        }
    }
}
