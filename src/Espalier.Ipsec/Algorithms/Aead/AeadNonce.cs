using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// The nonce of an AEAD in ESP, made anew for each packet in a pinned array of its own:
/// <code>
///  | salt: end of the key, 3 or 4 bytes | IV, 8 bytes, as in the packet |                  RFC 4106 §4, RFC 4309 §4, RFC 7634 §2
/// </code>
/// The IV is the sequence number XOR a random salt of this transform: it never repeats within an SA, and an SA added again by
/// hand with the same key does not start with the same IVs.
/// </summary>
internal sealed class AeadNonce
{
    /// <summary>Bytes of IV in the packet.</summary>
    public const int IvLength = 8;

    private readonly byte[] _nonce = GC.AllocateArray<byte>(Vector128<byte>.Count, pinned: true); // What is behind the nonce is never read.
    private readonly int _saltBits;
    private readonly ulong _ivSalt;
    private ulong _salt; // Its bytes, the first lowest.

    public AeadNonce(ReadOnlySpan<byte> salt, IvEntropy entropy)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        salt.CopyTo(word);
        _salt = BinaryPrimitives.ReadUInt64LittleEndian(word);
        _saltBits = salt.Length * 8;
        _ivSalt = entropy.CounterSalt();
    }

    /// <summary>Writes the packet's IV and gives the nonce; valid until the next packet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Make(Span<byte> packet, ulong sequence)
    {
        ulong iv = sequence ^ _ivSalt;
        BinaryPrimitives.WriteUInt64BigEndian(packet[EspGeometry.HeaderLength..], iv);
        return Combine(BinaryPrimitives.ReverseEndianness(iv));
    }

    /// <summary>Takes the packet's IV and gives the nonce; valid until the next packet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Take(ReadOnlySpan<byte> packet) => Combine(BinaryPrimitives.ReadUInt64LittleEndian(packet[EspGeometry.HeaderLength..]));

    /// <summary>Zeroes the salt.</summary>
    public void Clear()
    {
        _salt = 0;
        CryptographicOperations.ZeroMemory(_nonce);
    }

    // Written at once: libraries read it as one vector, which would wait for each of several smaller writes, and for all before them, to reach the
    // cache (10 ns, measured).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ReadOnlySpan<byte> Combine(ulong iv)
    {
        ulong first = _salt | (iv << _saltBits), second = iv >> (64 - _saltBits);
        if (!BitConverter.IsLittleEndian)
        {
            (first, second) = (BinaryPrimitives.ReverseEndianness(first), BinaryPrimitives.ReverseEndianness(second));
        }

        Vector128.Create(first, second).AsByte().CopyTo(_nonce);
        return _nonce.AsSpan(0, (_saltBits / 8) + IvLength);
    }
}
