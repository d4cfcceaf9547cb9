using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;

namespace Espalier.Ipsec.Algorithms.Ciphers;

/// <summary>
/// Camellia-CBC (RFC 4312) by BouncyCastle; the platform has no Camellia. The chain is kept from packet to packet as in
/// <see cref="PlatformCbcCipher"/>, so nothing is set up again for a packet. BouncyCastle allocates 40 bytes a block inside its
/// engine. <see cref="Dispose"/> overwrites the key schedule by that of the zero key; BouncyCastle's own copy of the key in its
/// KeyParameter cannot be reached and stays until the collector reuses the memory.
/// </summary>
internal sealed class CamelliaCbcCipher : EspCipher
{
    private const int Block = 16;

    private readonly CbcBlockCipher _chain = new(new CamelliaEngine());
    private readonly TransformDirection _direction;
    private readonly IvEntropy _entropy;
    private readonly int _keyLength;

    public CamelliaCbcCipher(ReadOnlySpan<byte> key, TransformDirection direction, IvEntropy entropy)
    {
        _direction = direction;
        _entropy = entropy;
        _keyLength = key.Length;
        SetKey(new KeyParameter(key));
    }

    public override int IvLength => Block;

    public override int BlockLength => Block;

    public override void Encrypt(Span<byte> ivAndPayload, ulong sequence)
    {
        _entropy.Fill(ivAndPayload[..Block]);
        for (int at = 0; at < ivAndPayload.Length; at += Block)
        {
            var block = ivAndPayload.Slice(at, Block);
            _chain.ProcessBlock(block, block);
        }
    }

    public override void Decrypt(Span<byte> ivAndPayload)
    {
        // The IV's block only loads the chain: its decryption is noise and goes to the side.
        Span<byte> noise = stackalloc byte[Block];
        _chain.ProcessBlock(ivAndPayload[..Block], noise);
        for (int at = Block; at < ivAndPayload.Length; at += Block)
        {
            var block = ivAndPayload.Slice(at, Block);
            _chain.ProcessBlock(block, block);
        }
    }

    public override void Dispose() => SetKey(new KeyParameter(new byte[_keyLength]));

    private void SetKey(KeyParameter key) =>
        _chain.Init(_direction == TransformDirection.Seal, new ParametersWithIV(key, new byte[Block]));
}
