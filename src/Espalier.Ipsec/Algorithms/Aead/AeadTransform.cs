using System.Buffers.Binary;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>What all AEAD transforms are told besides cipher and salt.</summary>
internal readonly record struct AeadParameters(int IcvLength, bool Esn, IvEntropy Entropy);

/// <summary>
/// An AEAD algorithm in ESP. The associated data are
/// <code>
///  without ESN   | SPI, 4 bytes | sequence number, 4 bytes |                             RFC 4106 §5, RFC 4309 §5, RFC 7634 §2.1
///  with ESN      | SPI, 4 bytes | high half, 4 bytes | low half, 4 bytes |
/// </code>
/// One thread at a time.
/// </summary>
internal sealed class AeadTransform : EspTransform
{
    private const int PayloadOffset = EspGeometry.HeaderLength + AeadNonce.IvLength;

    private readonly AeadCipher _cipher;
    private readonly AeadNonce _nonce;
    private readonly byte[]? _extendedAad; // Null without ESN.

    /// <summary>Takes the ownership of <paramref name="cipher"/>.</summary>
    public AeadTransform(AeadCipher cipher, ReadOnlySpan<byte> salt, AeadParameters parameters)
        : base(new EspGeometry(AeadNonce.IvLength, parameters.IcvLength))
    {
        _cipher = cipher;
        _nonce = new AeadNonce(salt, parameters.Entropy);
        _extendedAad = parameters.Esn ? GC.AllocateArray<byte>(EspGeometry.HeaderLength + sizeof(uint), pinned: true) : null;
    }

    public override bool TrySeal(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        int icv = packet.Length - Geometry.IcvLength;
        return _cipher.TrySeal(_nonce.Make(packet, sequence), Aad(packet, sequence), packet[PayloadOffset..icv], packet[icv..]);
    }

    public override bool TryOpen(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        int icv = packet.Length - Geometry.IcvLength;
        return _cipher.TryOpen(_nonce.Take(packet), Aad(packet, sequence), packet[PayloadOffset..icv], packet[icv..]);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _cipher.Dispose();
            _nonce.Clear();
        }
    }

    private ReadOnlySpan<byte> Aad(ReadOnlySpan<byte> packet, ulong sequence)
    {
        if (_extendedAad is not { } aad)
        {
            return packet[..EspGeometry.HeaderLength];
        }

        packet[..4].CopyTo(aad);
        BinaryPrimitives.WriteUInt32BigEndian(aad.AsSpan(4), (uint)(sequence >> 32));
        packet[4..EspGeometry.HeaderLength].CopyTo(aad.AsSpan(8));
        return aad;
    }
}
