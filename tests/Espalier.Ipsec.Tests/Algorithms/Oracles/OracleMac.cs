using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Parameters;

namespace Espalier.Ipsec.Tests.Algorithms.Oracles;

/// <summary>The MACs by BouncyCastle; Espalier's are the platform's, or composed from the platform's AES.</summary>
internal static class OracleMac
{
    public static byte[] Compute(string name, byte[] key, byte[] message) => name switch
    {
        "hmac(md5)" => Run(new HMac(new MD5Digest()), key, message),
        "hmac(sha1)" => Run(new HMac(new Sha1Digest()), key, message),
        "hmac(sha256)" => Run(new HMac(new Sha256Digest()), key, message),
        "hmac(sha384)" => Run(new HMac(new Sha384Digest()), key, message),
        "hmac(sha512)" => Run(new HMac(new Sha512Digest()), key, message),
        "cmac(aes)" => Run(new CMac(new AesEngine()), key, message),
        "xcbc(aes)" => Xcbc(key, message),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no oracle"),
    };

    private static byte[] Run(IMac mac, byte[] key, byte[] message)
    {
        mac.Init(new KeyParameter(key));
        mac.BlockUpdate(message, 0, message.Length);
        byte[] result = new byte[mac.GetMacSize()];
        mac.DoFinal(result, 0);
        return result;
    }

    /// <summary>RFC 3566 §4, written once more, block by block; BouncyCastle has none. The RFC's vectors hold for it too.</summary>
    private static byte[] Xcbc(byte[] key, byte[] message)
    {
        byte[] k1 = Encrypt(key, Repeat(1));
        byte[] k2 = Encrypt(key, Repeat(2));
        byte[] k3 = Encrypt(key, Repeat(3));
        byte[] chain = new byte[16];
        int at = 0;
        for (; message.Length - at > 16; at += 16)
        {
            chain = Encrypt(k1, Xor(chain, message[at..(at + 16)]));
        }

        byte[] last = new byte[16];
        message.AsSpan(at).CopyTo(last);
        if (message.Length - at == 16)
        {
            return Encrypt(k1, Xor(Xor(last, chain), k2));
        }

        last[message.Length - at] = 0x80;
        return Encrypt(k1, Xor(Xor(last, chain), k3));
    }

    private static byte[] Repeat(byte value) => [.. Enumerable.Repeat(value, 16)];

    private static byte[] Xor(byte[] left, byte[] right) => [.. left.Zip(right, (a, b) => (byte)(a ^ b))];

    private static byte[] Encrypt(byte[] key, byte[] block)
    {
        var engine = new AesEngine();
        engine.Init(true, new KeyParameter(key));
        byte[] result = new byte[16];
        engine.ProcessBlock(block, 0, result, 0);
        return result;
    }
}
