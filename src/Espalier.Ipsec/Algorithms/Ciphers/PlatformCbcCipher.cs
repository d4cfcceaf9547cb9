using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Ciphers;

/// <summary>
/// AES-CBC (RFC 3602) and 3DES-CBC (RFC 2451) by the platform. One chain lives as long as the cipher, because the platform's
/// one-shot calls allocate for each packet:
/// <code>
///  encrypt   [ R │ P1 │ P2 … ] ─▶ [ IV = E(R ⊕ last) │ C1 = E(P1 ⊕ IV) │ C2 … ]     R random: the IV is unpredictable (RFC 3602 §3)
///  decrypt   [ IV │ C1 │ C2 … ] ─▶ [ noise │ P1 = D(C1) ⊕ IV │ P2 … ]               noise: what the last packet left in the chain
/// </code>
/// Whatever an earlier packet left in the chain touches the first block alone, so no failure spoils a later packet.
/// </summary>
internal sealed class PlatformCbcCipher : EspCipher
{
    private readonly ICryptoTransform _chain;
    private readonly IvEntropy _entropy;
    private readonly int _block;

    private PlatformCbcCipher(SymmetricAlgorithm algorithm, ReadOnlySpan<byte> key, TransformDirection direction, IvEntropy entropy)
    {
        _block = algorithm.BlockSize / 8;
        _entropy = entropy;
        algorithm.Mode = CipherMode.CBC;
        algorithm.Padding = PaddingMode.None;
        algorithm.IV = new byte[_block];
        algorithm.SetKey(key);
        _chain = direction == TransformDirection.Seal ? algorithm.CreateEncryptor() : algorithm.CreateDecryptor();
    }

    public override int IvLength => _block;

    public override int BlockLength => _block;

    public static PlatformCbcCipher Aes(ReadOnlySpan<byte> key, TransformDirection direction, IvEntropy entropy)
    {
        using var aes = System.Security.Cryptography.Aes.Create();
        return new PlatformCbcCipher(aes, key, direction, entropy);
    }

#pragma warning disable CA5350 // 3DES is what a peer or an administrator asked for; docs/algorithms.md says what RFC 8221 says of it.
    public static PlatformCbcCipher TripleDes(ReadOnlySpan<byte> key, TransformDirection direction, IvEntropy entropy)
    {
        using var tripleDes = TripleDES.Create();
        return new PlatformCbcCipher(tripleDes, key, direction, entropy);
    }
#pragma warning restore CA5350

    public override void Encrypt(Span<byte> ivAndPayload, ulong sequence)
    {
        byte[] scratch = PacketScratch.Rent();
        _entropy.Fill(scratch.AsSpan(0, _block));
        ivAndPayload[_block..].CopyTo(scratch.AsSpan(_block));
        _chain.TransformBlock(scratch, 0, ivAndPayload.Length, scratch, 0);
        scratch.AsSpan(0, ivAndPayload.Length).CopyTo(ivAndPayload);
    }

    public override void Decrypt(Span<byte> ivAndPayload)
    {
        byte[] scratch = PacketScratch.Rent();
        ivAndPayload.CopyTo(scratch);
        _chain.TransformBlock(scratch, 0, ivAndPayload.Length, scratch, 0);
        scratch.AsSpan(_block, ivAndPayload.Length - _block).CopyTo(ivAndPayload[_block..]);
    }

    public override void Dispose() => _chain.Dispose();
}
