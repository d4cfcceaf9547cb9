using System.Buffers.Binary;
using Espalier.Ipsec.Algorithms;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>Gives the same bytes each time, so that a published packet comes out again.</summary>
internal sealed class FixedEntropy(byte[] bytes) : IvEntropy
{
    public override void Fill(Span<byte> destination) => bytes.AsSpan(0, destination.Length).CopyTo(destination);

    /// <summary>Makes a counter IV (sequence number XOR salt) come out as <paramref name="iv"/> for one sequence number.</summary>
    public static FixedEntropy ForCounterIv(ReadOnlySpan<byte> iv, ulong sequence)
    {
        byte[] salt = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(
            salt, BinaryPrimitives.ReadUInt64BigEndian(iv) ^ sequence);
        return new FixedEntropy(salt);
    }

    /// <summary>
    /// Makes a CBC cipher's first IV come out as <paramref name="iv"/>: the cipher encrypts the random block, so the random
    /// block must be the decryption of the wanted IV.
    /// </summary>
    public static FixedEntropy ForFirstCbcIv(Org.BouncyCastle.Crypto.IBlockCipher engine, byte[] key, byte[] iv)
    {
        engine.Init(false, new Org.BouncyCastle.Crypto.Parameters.KeyParameter(key));
        byte[] block = new byte[iv.Length];
        engine.ProcessBlock(iv, 0, block, 0);
        return new FixedEntropy(block);
    }
}
