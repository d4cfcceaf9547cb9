using System.Buffers.Binary;
using System.Security.Cryptography;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>What all AEAD transforms are told besides key and salt.</summary>
internal readonly record struct AeadParameters(int IcvLength, bool Esn, IvEntropy Entropy);

/// <summary>
/// An AEAD algorithm in ESP. The nonce is the key's salt followed by the packet's IV of 8 bytes; the associated data are
/// <code>
///  without ESN   | SPI, 4 bytes | sequence number, 4 bytes |                             RFC 4106 §5, RFC 4309 §5, RFC 7634 §2.1
///  with ESN      | SPI, 4 bytes | high half, 4 bytes | low half, 4 bytes |
/// </code>
/// The IV is the sequence number XOR a random salt of this transform: it never repeats within an SA, and an SA added again by
/// hand with the same key does not start with the same IVs. One thread at a time.
/// </summary>
internal abstract class AeadTransform : EspTransform
{
    /// <summary>Bytes of IV in the packet.</summary>
    protected const int IvLength = 8;

    /// <summary>Where the payload begins.</summary>
    protected const int PayloadOffset = EspGeometry.HeaderLength + IvLength;

    /// <summary>Bytes of the longest associated data that are not a part of the packet.</summary>
    protected const int LongestAad = 12;

    private const int LongestNonce = 12;

    private readonly byte[] _salt;
    private readonly ulong _ivSalt;
    private readonly bool _esn;

    protected AeadTransform(ReadOnlySpan<byte> salt, AeadParameters parameters)
        : base(new EspGeometry(IvLength, parameters.IcvLength, 4))
    {
        _esn = parameters.Esn;
        _salt = GC.AllocateUninitializedArray<byte>(salt.Length, pinned: true);
        salt.CopyTo(_salt);
        Span<byte> ivSalt = stackalloc byte[sizeof(ulong)];
        parameters.Entropy.Fill(ivSalt);
        _ivSalt = BinaryPrimitives.ReadUInt64BigEndian(ivSalt);
    }

    /// <summary>True for extended sequence numbers.</summary>
    protected bool UsesEsn => _esn;

    public sealed override bool TrySeal(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        BinaryPrimitives.WriteUInt64BigEndian(packet[EspGeometry.HeaderLength..], sequence ^ _ivSalt);
        Span<byte> nonce = stackalloc byte[LongestNonce];
        try
        {
            Seal(packet, nonce[..WriteNonce(packet, nonce)], sequence);
            return true;
        }
        catch (CryptographicException)
        {
            return false; // The library failed (no memory): the packet is not sent.
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The platform reports a wrong ICV by an exception alone; this is the one place that turns it into a result
    /// (<see cref="AuthenticationTagMismatchException"/> is a <see cref="CryptographicException"/>).
    /// </remarks>
    public sealed override bool TryOpen(Span<byte> packet, ulong sequence)
    {
        if (!PacketSizes.Fit(Geometry, packet.Length))
        {
            return false;
        }

        Span<byte> nonce = stackalloc byte[LongestNonce];
        try
        {
            return Open(packet, nonce[..WriteNonce(packet, nonce)], sequence);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    /// <summary>Encrypts in place and writes the ICV; the IV stands in the packet.</summary>
    protected abstract void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence);

    /// <summary>Verifies and decrypts in place. A wrong ICV gives false or a <see cref="CryptographicException"/>.</summary>
    protected abstract bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence);

    /// <summary>Payload, padding, pad length and next header.</summary>
    protected Span<byte> Payload(Span<byte> packet) => packet[PayloadOffset..^Geometry.IcvLength];

    /// <summary>The ICV.</summary>
    protected Span<byte> Icv(Span<byte> packet) => packet[^Geometry.IcvLength..];

    /// <summary>Writes the associated data and gives their length, 8 or 12.</summary>
    protected int WriteAad(ReadOnlySpan<byte> packet, ulong sequence, Span<byte> aad)
    {
        if (!_esn)
        {
            packet[..EspGeometry.HeaderLength].CopyTo(aad);
            return EspGeometry.HeaderLength;
        }

        packet[..4].CopyTo(aad);
        BinaryPrimitives.WriteUInt32BigEndian(aad[4..], (uint)(sequence >> 32));
        packet[4..EspGeometry.HeaderLength].CopyTo(aad[8..]);
        return LongestAad;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            CryptographicOperations.ZeroMemory(_salt);
        }
    }

    private int WriteNonce(ReadOnlySpan<byte> packet, Span<byte> nonce)
    {
        _salt.CopyTo(nonce);
        packet.Slice(EspGeometry.HeaderLength, IvLength).CopyTo(nonce[_salt.Length..]);
        return _salt.Length + IvLength;
    }
}
