using System.Buffers.Binary;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-GMAC (RFC 4543, ENCR_NULL_AUTH_AES_GMAC): GCM with nothing to encrypt. The associated data are the whole packet before the ICV, the IV
/// included (RFC 4543 §3.3):
/// <code>
///  | SPI | (high half, with ESN) | sequence, low half | IV | payload … padding | pad length | next header |
/// </code>
/// With ESN, what follows the SPI is moved right by 4 bytes, into the ICV's room, for the time of the computation. One thread at a time.
/// </summary>
internal sealed class GmacTransform(AeadCipher cipher, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : EspTransform(new EspGeometry(AeadNonce.IvLength, parameters.IcvLength))
{
    private const int HighLength = 4;

    private readonly AeadNonce _nonce = new(salt, parameters.Entropy);
    private readonly bool _esn = parameters.Esn;

    public override bool TrySeal(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        Span<byte> icv = stackalloc byte[Geometry.IcvLength];
        var nonce = _nonce.Make(packet, sequence);
        bool done = cipher.TrySeal(nonce, InsertHigh(packet, sequence), [], icv);
        RemoveHigh(packet);
        icv.CopyTo(packet[^icv.Length..]);
        return done;
    }

    public override bool TryOpen(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        Span<byte> icv = stackalloc byte[Geometry.IcvLength];
        packet[^icv.Length..].CopyTo(icv);
        var nonce = _nonce.Take(packet);
        bool verified = cipher.TryOpen(nonce, InsertHigh(packet, sequence), [], icv);
        RemoveHigh(packet);
        return verified;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            cipher.Dispose();
            _nonce.Clear();
        }
    }

    private Span<byte> InsertHigh(Span<byte> packet, ulong sequence)
    {
        int length = packet.Length - Geometry.IcvLength;
        if (!_esn)
        {
            return packet[..length];
        }

        packet[4..length].CopyTo(packet[(4 + HighLength)..]);
        BinaryPrimitives.WriteUInt32BigEndian(packet[4..], (uint)(sequence >> 32));
        return packet[..(length + HighLength)];
    }

    private void RemoveHigh(Span<byte> packet)
    {
        if (_esn)
        {
            int length = packet.Length - Geometry.IcvLength;
            packet.Slice(4 + HighLength, length - 4).CopyTo(packet[4..]);
        }
    }
}
