using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>
/// What an engine must do before it may touch a packet: give published ciphertexts and tags, agree with <see cref="CryptoEngine.System"/> over
/// lengths that run through every loop of a library, open what it sealed, and refuse what was changed. Some milliseconds.
/// </summary>
public static class EngineSelfTest
{
    private static readonly int[] s_lengths = [0, 1, 4, 15, 16, 17, 64, 255, 256, 1_023, 1_440, 9_100];

    // McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test cases 4, 10 and 16: one nonce, text and associated data.
    private static readonly KnownAnswer[] s_gcm =
    [
        .. new (string Key, string Ciphertext, string Tag)[]
        {
            ("feffe9928665731c6d6a8f9467308308",
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
                "5bc94fbc3221a5db94fae95ae7121a47"),
            ("feffe9928665731c6d6a8f9467308308feffe9928665731c",
                "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
                "2519498e80f1478f37ba55bd6d27618c"),
            ("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
                "76fc6ece0f4e1768cddf8853bb2d551b"),
        }.Select(answer => new KnownAnswer(
            AeadMode.AesGcm, answer.Key, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            answer.Ciphertext, answer.Tag)),
    ];

    // RFC 8439 §2.8.2.
    private static readonly KnownAnswer s_chacha = new(
        AeadMode.ChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
        "1ae10b594f09e26a7e902ecbd0600691");

    /// <summary>Null where the engine is as it should be; else what is wrong with it, as the end of a sentence.</summary>
    public static string? Check(CryptoEngine engine)
    {
        try
        {
            foreach (var answer in s_gcm.Append(s_chacha))
            {
                foreach (int tagLength in engine.TagLengths(answer.Mode))
                {
                    if (!Agrees(engine, answer, tagLength) || !Array.TrueForAll(s_lengths, length => Agrees(engine, answer.WithText(length), tagLength)))
                    {
                        return $"its self-test fails for {answer.Mode} with a key of {answer.Key.Length * 8} bits and a tag of {tagLength * 8}";
                    }
                }
            }

            return null;
        }
        catch (CryptographicException failure)
        {
            return $"its self-test fails: {failure.Message}";
        }
    }

    private static bool Agrees(CryptoEngine engine, KnownAnswer answer, int tagLength)
    {
        using var sealer = engine.Create(answer.Mode, answer.Key, tagLength, TransformDirection.Seal);
        using var opener = engine.Create(answer.Mode, answer.Key, tagLength, TransformDirection.Open);
        byte[] text = [.. answer.Plaintext], tag = new byte[tagLength];
        if (!sealer.TrySeal(answer.Nonce, answer.AssociatedData, text, tag)
            || !text.AsSpan().SequenceEqual(answer.Ciphertext) || !tag.AsSpan().SequenceEqual(answer.Tag.AsSpan(0, tagLength)))
        {
            return false;
        }

        byte[] opened = [.. text], wrongTag = [.. tag];
        wrongTag[^1] ^= 1;
        return !opener.TryOpen(answer.Nonce, answer.AssociatedData, opened, wrongTag)
            && (opened.Length < 16 || !opened.AsSpan().SequenceEqual(answer.Plaintext))
            && opener.TryOpen(answer.Nonce, answer.AssociatedData, text, tag)
            && text.AsSpan().SequenceEqual(answer.Plaintext);
    }

    private sealed record KnownAnswer(AeadMode Mode, byte[] Key, byte[] Nonce, byte[] AssociatedData, byte[] Plaintext, byte[] Ciphertext, byte[] Tag)
    {
        public KnownAnswer(AeadMode mode, string key, string nonce, string associatedData, string plaintext, string ciphertext, string tag)
            : this(
                mode, Convert.FromHexString(key), Convert.FromHexString(nonce), Convert.FromHexString(associatedData), Convert.FromHexString(plaintext),
                Convert.FromHexString(ciphertext), Convert.FromHexString(tag))
        {
        }

        // Another nonce than the vector's: an engine may refuse one that it has just used.
        public KnownAnswer WithText(int length)
        {
            byte[] text = new byte[length], tag = new byte[Tag.Length], nonce = [.. Nonce];
            nonce[^1] += (byte)(length % 251 + 1);
            for (int at = 0; at < length; at++)
            {
                text[at] = (byte)(at * 7);
            }

            byte[] ciphertext = [.. text];
            using var reference = CryptoEngine.System.Create(Mode, Key, tag.Length, TransformDirection.Seal);
            return reference.TrySeal(nonce, AssociatedData, ciphertext, tag)
                ? this with { Nonce = nonce, Plaintext = text, Ciphertext = ciphertext, Tag = tag }
                : throw new CryptographicException("the reference fails");
        }
    }
}
