using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;

namespace Espalier.Ipsec.Tests.Algorithms.Oracles;

/// <summary>The AEAD modes by BouncyCastle; Espalier's are the platform's.</summary>
internal static class OracleAead
{
    /// <summary>Ciphertext followed by the tag.</summary>
    public static byte[] Encrypt(string mode, byte[] key, byte[] nonce, byte[] aad, byte[] plaintext, int tagLength) =>
        Run(Cipher(mode), true, key, nonce, aad, plaintext, tagLength);

    /// <summary>Plaintext, or null if the tag is wrong.</summary>
    public static byte[]? Decrypt(string mode, byte[] key, byte[] nonce, byte[] aad, byte[] ciphertextAndTag, int tagLength)
    {
        try
        {
            return Run(Cipher(mode), false, key, nonce, aad, ciphertextAndTag, tagLength);
        }
        catch (InvalidCipherTextException)
        {
            return null;
        }
    }

    private static IAeadCipher Cipher(string mode) => mode switch
    {
        "gcm" => new GcmBlockCipher(new AesEngine()),
        "ccm" => new CcmBlockCipher(new AesEngine()),
        "chacha" => new ChaCha20Poly1305(),
        _ => throw new ArgumentOutOfRangeException(nameof(mode), mode, "no oracle"),
    };

    private static byte[] Run(IAeadCipher cipher, bool encrypt, byte[] key, byte[] nonce, byte[] aad, byte[] input, int tagLength)
    {
        cipher.Init(encrypt, new AeadParameters(new KeyParameter(key), tagLength * 8, nonce, aad));
        byte[] output = new byte[cipher.GetOutputSize(input.Length)];
        int length = cipher.ProcessBytes(input, 0, input.Length, output, 0);
        length += cipher.DoFinal(output, length);
        return output[..length];
    }
}
