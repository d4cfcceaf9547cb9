using System.Buffers.Binary;
using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Ciphers;
using Espalier.Ipsec.Algorithms.Integrity;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// A cipher and a MAC (RFC 4303 §3.3.2.1): the ICV covers the packet from the SPI to the next header, after encryption, and with
/// ESN the high half of the sequence number behind it, which is not sent (RFC 4303 §2.2.1).
/// <code>
///  | SPI | sequence, low half | IV | payload … padding | pad length | next header | (sequence, high half) |
///  |                               |◀──────────────── encrypted ─────────────────▶|
///  |◀───────────────────────────────── authenticated ────────────────────────────────────────────────────▶|
/// </code>
/// Opening verifies before it decrypts (RFC 4303 §3.4.4.1). One thread at a time.
/// </summary>
internal sealed class EncryptThenMacTransform : EspTransform
{
    private readonly EspCipher _cipher;
    private readonly EspMac _mac;
    private readonly bool _esn;

    /// <summary>Takes the ownership of cipher and MAC.</summary>
    public EncryptThenMacTransform(EspCipher cipher, EspMac mac, int icvLength, bool esn)
        : base(new EspGeometry(cipher.IvLength, icvLength, cipher.BlockLength))
    {
        _cipher = cipher;
        _mac = mac;
        _esn = esn;
    }

    public override bool TrySeal(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        try
        {
            var authenticated = packet[..^Geometry.IcvLength];
            _cipher.Encrypt(authenticated[EspGeometry.HeaderLength..], sequence);
            Span<byte> mac = stackalloc byte[EspMac.LongestMac];
            ComputeMac(authenticated, sequence, mac);
            mac[..Geometry.IcvLength].CopyTo(packet[authenticated.Length..]);
            return true;
        }
        catch (CryptographicException)
        {
            return false; // The library failed (no memory): the packet is not sent.
        }
    }

    public override bool TryOpen(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        try
        {
            var authenticated = packet[..^Geometry.IcvLength];
            Span<byte> mac = stackalloc byte[EspMac.LongestMac];
            ComputeMac(authenticated, sequence, mac);
            if (!IcvComparison.AreEqual(mac[..Geometry.IcvLength], packet[authenticated.Length..]))
            {
                return false;
            }

            _cipher.Decrypt(authenticated[EspGeometry.HeaderLength..]);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _cipher.Dispose();
            _mac.Dispose();
        }
    }

    private void ComputeMac(ReadOnlySpan<byte> authenticated, ulong sequence, Span<byte> mac)
    {
        Span<byte> high = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(high, (uint)(sequence >> 32));
        _mac.Compute(authenticated, _esn ? high : [], mac);
    }
}
