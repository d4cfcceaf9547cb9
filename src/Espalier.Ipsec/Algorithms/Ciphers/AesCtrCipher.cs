using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Ciphers;

/// <summary>
/// AES-CTR (RFC 3686), composed from the platform's AES: the counter blocks are encrypted in one call and added to the payload.
/// <code>
///  counter block  | nonce, 4 bytes, of the key | IV, 8 bytes, of the packet | block counter, 4 bytes, from 1 |   (RFC 3686 §4)
/// </code>
/// The IV is the sequence number XOR a random salt of its SA, so that it never repeats in an SA (RFC 3686 §2.1) and an SA
/// added again by hand with the same key does not start with the same IVs.
/// </summary>
internal sealed class AesCtrCipher : EspCipher
{
    /// <summary>Bytes of nonce at the end of the key (RFC 3686 §5.1).</summary>
    public const int NonceLength = 4;

    private const int Block = 16;
    private const int CounterIvLength = 8;

    private readonly ICryptoTransform _encryptor;
    private readonly byte[] _nonce;
    private readonly ulong _ivSalt;

    public AesCtrCipher(ReadOnlySpan<byte> keyWithNonce, IvEntropy entropy)
    {
        _nonce = GC.AllocateUninitializedArray<byte>(NonceLength, pinned: true);
        keyWithNonce[^NonceLength..].CopyTo(_nonce);
        _ivSalt = entropy.CounterSalt();
        using var aes = Aes.Create();
#pragma warning disable CA5358 // ECB encrypts the counter blocks of CTR, which never repeat; no payload passes through it.
        aes.Mode = CipherMode.ECB;
#pragma warning restore CA5358
        aes.Padding = PaddingMode.None;
        aes.SetKey(keyWithNonce[..^NonceLength]);
        _encryptor = aes.CreateEncryptor();
    }

    public override int IvLength => CounterIvLength;

    public override int BlockLength => 1;

    public override void Encrypt(Span<byte> ivAndPayload, ulong sequence)
    {
        BinaryPrimitives.WriteUInt64BigEndian(ivAndPayload, sequence ^ _ivSalt);
        AddKeyStream(ivAndPayload);
    }

    public override void Decrypt(Span<byte> ivAndPayload) => AddKeyStream(ivAndPayload);

    public override void Dispose()
    {
        _encryptor.Dispose();
        CryptographicOperations.ZeroMemory(_nonce);
    }

    private void AddKeyStream(Span<byte> ivAndPayload)
    {
        var payload = ivAndPayload[CounterIvLength..];
        byte[] scratch = PacketScratch.Rent();
        int blocks = (payload.Length + Block - 1) / Block;
        var template = scratch.AsSpan(0, Block);
        _nonce.CopyTo(template);
        ivAndPayload[..CounterIvLength].CopyTo(template[NonceLength..]);
        for (int block = 0; block < blocks; block++)
        {
            var counter = scratch.AsSpan(block * Block, Block);
            template[..12].CopyTo(counter);
            BinaryPrimitives.WriteUInt32BigEndian(counter[12..], (uint)block + 1);
        }

        _encryptor.TransformBlock(scratch, 0, blocks * Block, scratch, 0);
        Xor(payload, scratch.AsSpan(0, payload.Length));
    }

    private static void Xor(Span<byte> target, ReadOnlySpan<byte> source)
    {
        while (target.Length >= Vector<byte>.Count)
        {
            (new Vector<byte>(target) ^ new Vector<byte>(source)).CopyTo(target);
            target = target[Vector<byte>.Count..];
            source = source[Vector<byte>.Count..];
        }

        for (int at = 0; at < target.Length; at++)
        {
            target[at] ^= source[at];
        }
    }
}
