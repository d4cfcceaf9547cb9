using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;

namespace Espalier.Ipsec.Tests.Algorithms.Oracles;

/// <summary>The ciphers by another library than Espalier's: BouncyCastle for the platform's, OpenSSL's program for Camellia.</summary>
internal static class OracleCipher
{
    public static byte[] Encrypt(string name, byte[] key, byte[] iv, byte[] plaintext) => Run(name, true, key, iv, plaintext);

    public static byte[] Decrypt(string name, byte[] key, byte[] iv, byte[] ciphertext) => Run(name, false, key, iv, ciphertext);

    private static byte[] Run(string name, bool encrypt, byte[] key, byte[] iv, byte[] input) => name switch
    {
        "ecb(cipher_null)" => input,
        "cbc(aes)" => Cbc(new AesEngine(), encrypt, key, iv, input),
        "cbc(des3_ede)" => Cbc(new DesEdeEngine(), encrypt, key, iv, input),
        "cbc(camellia)" => OpenSsl.CamelliaCbc(encrypt, key, iv, input),
        "rfc3686(ctr(aes))" => Ctr(key, iv, input),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no oracle"),
    };

    private static byte[] Cbc(IBlockCipher engine, bool encrypt, byte[] key, byte[] iv, byte[] input)
    {
        var cipher = new CbcBlockCipher(engine);
        cipher.Init(encrypt, new ParametersWithIV(new KeyParameter(key), iv));
        byte[] output = new byte[input.Length];
        for (int at = 0; at < input.Length; at += cipher.GetBlockSize())
        {
            cipher.ProcessBlock(input, at, output, at);
        }

        return output;
    }

    private static byte[] Ctr(byte[] keyWithNonce, byte[] iv, byte[] input)
    {
        // RFC 3686 §4: nonce, IV, and a block counter that starts at one.
        byte[] counter = [.. keyWithNonce[^4..], .. iv, 0, 0, 0, 1];
        var cipher = new BufferedBlockCipher(new SicBlockCipher(new AesEngine()));
        cipher.Init(true, new ParametersWithIV(new KeyParameter(keyWithNonce[..^4]), counter));
        return cipher.DoFinal(input);
    }
}
