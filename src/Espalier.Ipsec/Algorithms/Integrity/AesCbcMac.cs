using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Integrity;

/// <summary>
/// AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493), composed from the platform's AES. Both are a CBC-MAC whose last block is
/// XORed with a secret mask, one for a full block and one for a padded block; they differ in how key and masks are derived:
/// <code>
///          key of the CBC-MAC   mask of a full block   mask of a padded block (1, then zeros)
///  XCBC    E(K, 01 01 … 01)     E(K, 02 02 … 02)       E(K, 03 03 … 03)                       RFC 3566 §4
///  CMAC    K                    2·E(K, 0)              4·E(K, 0)   in GF(2^128)               RFC 4493 §2.3
/// </code>
/// The platform's encryptor keeps its chain from packet to packet, so the last MAC is XORed into the next first block and cancels
/// out there. A failed call starts the chain anew.
/// </summary>
internal sealed class AesCbcMac : EspMac
{
    private const int Block = 16;

    private readonly ICryptoTransform _encryptor;
    private readonly byte[] _masks = GC.AllocateArray<byte>(2 * Block, pinned: true);
    private readonly byte[] _chain = new byte[Block];

    private AesCbcMac(Aes aes)
    {
        aes.Mode = CipherMode.CBC;
        aes.Padding = PaddingMode.None;
        aes.IV = new byte[Block];
        _encryptor = aes.CreateEncryptor();
    }

    /// <summary>XCBC with a 128-bit key, the only size that RFC 3566 knows.</summary>
    public static AesCbcMac Xcbc(ReadOnlySpan<byte> key)
    {
        using var aes = Aes.Create();
        aes.SetKey(key);
        Span<byte> derived = stackalloc byte[3 * Block];
        derived[..Block].Fill(1);
        derived[Block..(2 * Block)].Fill(2);
        derived[(2 * Block)..].Fill(3);
        aes.EncryptEcb(derived, derived, PaddingMode.None);
        using var chained = Aes.Create();
        chained.SetKey(derived[..Block]);
        var mac = new AesCbcMac(chained);
        derived[Block..].CopyTo(mac._masks);
        CryptographicOperations.ZeroMemory(derived);
        return mac;
    }

    /// <summary>CMAC with a key of 128, 192 or 256 bits.</summary>
    public static AesCbcMac Cmac(ReadOnlySpan<byte> key)
    {
        using var aes = Aes.Create();
        aes.SetKey(key);
        Span<byte> subkey = stackalloc byte[Block];
        subkey.Clear();
        aes.EncryptEcb(subkey, subkey, PaddingMode.None);
        var mac = new AesCbcMac(aes);
        Double(subkey);
        subkey.CopyTo(mac._masks);
        Double(subkey);
        subkey.CopyTo(mac._masks.AsSpan(Block));
        CryptographicOperations.ZeroMemory(subkey);
        return mac;
    }

    public override void Compute(ReadOnlySpan<byte> data, ReadOnlySpan<byte> tail, Span<byte> mac)
    {
        byte[] scratch = PacketScratch.Rent();
        data.CopyTo(scratch);
        tail.CopyTo(scratch.AsSpan(data.Length));
        int length = data.Length + tail.Length;
        int padded = Math.Max(Block, (length + Block - 1) / Block * Block);
        if (padded != length)
        {
            scratch[length] = 0x80;
            scratch.AsSpan(length + 1, padded - length - 1).Clear();
        }

        Xor(scratch.AsSpan(padded - Block, Block), _masks.AsSpan(padded == length ? 0 : Block, Block));
        Xor(scratch.AsSpan(0, Block), _chain);
        try
        {
            _encryptor.TransformBlock(scratch, 0, padded, scratch, 0);
        }
        catch (CryptographicException)
        {
            _chain.AsSpan().Clear();
            _encryptor.TransformFinalBlock([], 0, 0);
            throw;
        }

        scratch.AsSpan(padded - Block, Block).CopyTo(_chain);
        _chain.CopyTo(mac);
    }

    public override void Dispose()
    {
        _encryptor.Dispose();
        CryptographicOperations.ZeroMemory(_masks);
    }

    private static void Xor(Span<byte> target, ReadOnlySpan<byte> source) =>
        (Vector128.Create<byte>(target) ^ Vector128.Create(source)).CopyTo(target);

    /// <summary>Multiplies by x in GF(2^128) (RFC 4493 §2.3), without a branch on key bits.</summary>
    private static void Double(Span<byte> value)
    {
        var number = BinaryPrimitives.ReadUInt128BigEndian(value);
        var reduction = (UInt128.Zero - (number >> 127)) & 0x87;
        BinaryPrimitives.WriteUInt128BigEndian(value, (number << 1) ^ reduction);
    }
}
