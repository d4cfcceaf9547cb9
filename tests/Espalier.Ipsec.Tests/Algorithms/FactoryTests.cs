using Espalier.Ipsec.Algorithms;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>Names, sizes and refusals, as the kernel's xfrm_algo.c and xfrm_user.c have them where Espalier does not say otherwise.</summary>
public sealed class FactoryTests
{
    [Theory]
    [InlineData(AlgorithmKind.Encryption, "aes", "cbc(aes)")]
    [InlineData(AlgorithmKind.Encryption, "cbc(aes)", "cbc(aes)")]
    [InlineData(AlgorithmKind.Encryption, "des3_ede", "cbc(des3_ede)")]
    [InlineData(AlgorithmKind.Encryption, "cbc(des3_ede)", "cbc(des3_ede)")]
    [InlineData(AlgorithmKind.Encryption, "camellia", "cbc(camellia)")]
    [InlineData(AlgorithmKind.Encryption, "cbc(camellia)", "cbc(camellia)")]
    [InlineData(AlgorithmKind.Encryption, "cipher_null", "ecb(cipher_null)")]
    [InlineData(AlgorithmKind.Encryption, "ecb(cipher_null)", "ecb(cipher_null)")]
    [InlineData(AlgorithmKind.Encryption, "rfc3686(ctr(aes))", "rfc3686(ctr(aes))")]
    [InlineData(AlgorithmKind.Authentication, "md5", "hmac(md5)")]
    [InlineData(AlgorithmKind.Authentication, "sha1", "hmac(sha1)")]
    [InlineData(AlgorithmKind.Authentication, "sha256", "hmac(sha256)")]
    [InlineData(AlgorithmKind.AuthenticationTruncated, "sha256", "hmac(sha256)")]
    [InlineData(AlgorithmKind.AuthenticationTruncated, "hmac(sha384)", "hmac(sha384)")]
    [InlineData(AlgorithmKind.Authentication, "hmac(sha512)", "hmac(sha512)")]
    [InlineData(AlgorithmKind.Authentication, "xcbc(aes)", "xcbc(aes)")]
    [InlineData(AlgorithmKind.Authentication, "cmac(aes)", "cmac(aes)")]
    [InlineData(AlgorithmKind.Authentication, "digest_null", "digest_null")]
    [InlineData(AlgorithmKind.Aead, "rfc4106(gcm(aes))", "rfc4106(gcm(aes))")]
    [InlineData(AlgorithmKind.Aead, "rfc4543(gcm(aes))", "rfc4543(gcm(aes))")]
    [InlineData(AlgorithmKind.Aead, "rfc4309(ccm(aes))", "rfc4309(ccm(aes))")]
    [InlineData(AlgorithmKind.Aead, "rfc7539esp(chacha20,poly1305)", "rfc7539esp(chacha20,poly1305)")]
    public void CanonicalName_NameOfTheKernel_IsKnown(AlgorithmKind kind, string name, string canonical) =>
        Assert.Equal(canonical, EspTransformFactory.CanonicalName(kind, name));

    [Theory]
    [InlineData(AlgorithmKind.Encryption, "")]
    [InlineData(AlgorithmKind.Encryption, "des")]
    [InlineData(AlgorithmKind.Encryption, "cbc(blowfish)")]
    [InlineData(AlgorithmKind.Encryption, "AES")]
    [InlineData(AlgorithmKind.Encryption, "sha1")]
    [InlineData(AlgorithmKind.Encryption, "rfc4106(gcm(aes))")]
    [InlineData(AlgorithmKind.Authentication, "sha384")]
    [InlineData(AlgorithmKind.Authentication, "sha512")]
    [InlineData(AlgorithmKind.Authentication, "aes")]
    [InlineData(AlgorithmKind.Authentication, "rmd160")]
    [InlineData(AlgorithmKind.Aead, "aes")]
    [InlineData(AlgorithmKind.Aead, "gcm(aes)")]
    public void CanonicalName_OtherName_IsNull(AlgorithmKind kind, string name) =>
        Assert.Null(EspTransformFactory.CanonicalName(kind, name));

    [Theory]
    [InlineData("hmac(md5)", 96)]
    [InlineData("hmac(sha1)", 96)]
    [InlineData("hmac(sha256)", 96)]
    [InlineData("hmac(sha384)", 192)]
    [InlineData("hmac(sha512)", 256)]
    [InlineData("xcbc(aes)", 96)]
    [InlineData("cmac(aes)", 96)]
    [InlineData("cbc(aes)", 0)]
    [InlineData("nothing", 0)]
    public void DefaultIcvBits_EachMac_IsTheKernels(string name, int bits) => Assert.Equal(bits, EspTransformFactory.DefaultIcvBits(name));

    // IV, ICV and alignment decide the MTU of the TUN.
    [Theory]
    [InlineData("rfc4106(gcm(aes))/160/64", 8, 8, 1, 4)]
    [InlineData("rfc4106(gcm(aes))/288/96", 8, 12, 1, 4)]
    [InlineData("rfc4106(gcm(aes))/224/128", 8, 16, 1, 4)]
    [InlineData("rfc4543(gcm(aes))/160/128", 8, 16, 1, 4)]
    [InlineData("rfc4309(ccm(aes))/152/64", 8, 8, 1, 4)]
    [InlineData("rfc7539esp(chacha20,poly1305)/288/128", 8, 16, 1, 4)]
    [InlineData("cbc(aes)/256+hmac(sha512)/512/256", 16, 32, 16, 16)]
    [InlineData("rfc3686(ctr(aes))/160+hmac(sha1)/160/96", 8, 12, 1, 4)]
    [InlineData("cbc(des3_ede)/192+hmac(md5)/128/96", 8, 12, 8, 8)]
    [InlineData("cbc(camellia)/192+xcbc(aes)/128/96", 16, 12, 16, 16)]
    [InlineData("ecb(cipher_null)/0+hmac(sha256)/256/128", 0, 16, 1, 4)]
    public void Create_EachAlgorithm_HasTheGeometryOfItsRfc(string line, int iv, int icv, int cipherBlock, int alignment)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        Assert.Equal(new Espalier.Ipsec.Esp.EspGeometry(iv, icv, cipherBlock), transform.Geometry);
        Assert.Equal(alignment, transform.Geometry.Alignment);
    }

    [Fact]
    public void Create_AuthWithDefaultLength_DiffersFromTruncated()
    {
        using var byDefault = AlgorithmCases.Create(Pair("cbc(aes)", 16, new AlgorithmSpec(AlgorithmKind.Authentication, "hmac(sha256)", new byte[32], 96)), false);
        using var truncated = AlgorithmCases.Create(Pair("cbc(aes)", 16, new AlgorithmSpec(AlgorithmKind.AuthenticationTruncated, "hmac(sha256)", new byte[32], 128)), false);
        using var zero = AlgorithmCases.Create(Pair("cbc(aes)", 16, new AlgorithmSpec(AlgorithmKind.AuthenticationTruncated, "hmac(sha256)", new byte[32], 0)), false);
        Assert.Equal((12, 16, 12), (byDefault.Geometry.IcvLength, truncated.Geometry.IcvLength, zero.Geometry.IcvLength));
    }

    [Fact]
    public void Create_AuthAndAuthTrunc_TakesTheTruncated()
    {
        AlgorithmSpec[] specs =
        [
            new(AlgorithmKind.Authentication, "hmac(sha256)", new byte[32], 96),
            new(AlgorithmKind.AuthenticationTruncated, "hmac(sha256)", new byte[32], 128),
            new(AlgorithmKind.Encryption, "cbc(aes)", new byte[16], 0),
        ];
        using var transform = AlgorithmCases.Create(specs, esn: false);
        Assert.Equal(16, transform.Geometry.IcvLength);
    }

    [Theory]
    [InlineData("hmac(md5)")]
    [InlineData("hmac(sha1)")]
    [InlineData("hmac(sha512)")]
    public void Create_HmacWithKeyOfAnyLength_IsAccepted(string name)
    {
        foreach (int length in new[] { 1, 15, 20, 64, 65, 200 })
        {
            using var transform = AlgorithmCases.Create(Pair("cbc(aes)", 16, new AlgorithmSpec(AlgorithmKind.Authentication, name, new byte[length], 96)), false);
            Assert.Equal(12, transform.Geometry.IcvLength);
        }
    }

    [Fact]
    public void Create_Nothing_IsRefused() => Refused(
        "ESP needs an AEAD algorithm, or an encryption and an authentication algorithm.");

    [Fact]
    public void Create_EncryptionAlone_IsRefusedByRfc8221() => Refused(
        "cbc(aes) without authentication is refused: RFC 8221 §4 says that ESP encryption MUST be authenticated.",
        Cipher("cbc(aes)", 16));

    [Fact]
    public void Create_EncryptionWithNullAuthentication_IsRefusedByRfc8221() => Refused(
        "rfc3686(ctr(aes)) without authentication is refused: RFC 8221 §4 says that ESP encryption MUST be authenticated.",
        Cipher("rfc3686(ctr(aes))", 20),
        Mac("digest_null", 0, 0));

    [Fact]
    public void Create_NullWithNull_IsRefusedByRfc4303()
    {
        const string Reason = "ESP must not have null encryption together with null authentication (RFC 4303 §3.2).";
        Refused(Reason, Cipher("ecb(cipher_null)", 0), Mac("digest_null", 0, 0));
        Refused(Reason, Cipher("ecb(cipher_null)", 0));
    }

    [Fact]
    public void Create_AuthenticationAlone_IsRefusedAsByTheKernel() => Refused(
        "hmac(sha256) alone is not enough for ESP: for authentication without encryption name ecb(cipher_null) as well.",
        Mac("hmac(sha256)", 32, 128));

    [Fact]
    public void Create_AeadWithOthers_IsRefused()
    {
        Refused(
            "rfc4106(gcm(aes)) encrypts and authenticates by itself and cannot be combined with hmac(sha256).",
            Aead("rfc4106(gcm(aes))", 20, 128),
            Mac("hmac(sha256)", 32, 128));
        Refused(
            "rfc4106(gcm(aes)) encrypts and authenticates by itself and cannot be combined with cbc(aes).",
            Cipher("cbc(aes)", 16),
            Aead("rfc4106(gcm(aes))", 20, 128));
        Refused(
            "rfc4106(gcm(aes)) and rfc4309(ccm(aes)) are of one kind; an SA takes one.",
            Aead("rfc4106(gcm(aes))", 20, 128),
            Aead("rfc4309(ccm(aes))", 19, 128));
    }

    [Fact]
    public void Create_WrongAeadKeyOrIcv_NamesTheSizes()
    {
        Refused(
            "rfc4106(gcm(aes)) takes a key of 160, 224 or 288 bits, the last 32 of them the salt, not 128.",
            Aead("rfc4106(gcm(aes))", 16, 128));
        Refused(
            "rfc4309(ccm(aes)) takes a key of 152, 216 or 280 bits, the last 24 of them the salt, not 160.",
            Aead("rfc4309(ccm(aes))", 20, 128));
        Refused(
            "rfc7539esp(chacha20,poly1305) takes a key of 288 bits, the last 32 of them the salt, not 256.",
            Aead("rfc7539esp(chacha20,poly1305)", 32, 128));
        Refused("rfc4106(gcm(aes)) takes an ICV of 64, 96 or 128 bits, not 104.", Aead("rfc4106(gcm(aes))", 20, 104));
        Refused("rfc4543(gcm(aes)) takes an ICV of 128 bits, not 96.", Aead("rfc4543(gcm(aes))", 20, 96));
        Refused("rfc7539esp(chacha20,poly1305) takes an ICV of 128 bits, not 0.", Aead("rfc7539esp(chacha20,poly1305)", 36, 0));
    }

    [Fact]
    public void Create_WrongCipherOrMacKey_NamesTheSizes()
    {
        Refused("cbc(aes) takes a key of 128, 192 or 256 bits, not 160.", Cipher("cbc(aes)", 20), Mac("hmac(sha1)", 20, 96));
        Refused("cbc(aes) takes a key of 128, 192 or 256 bits, not 0.", Cipher("cbc(aes)", 0), Mac("hmac(sha1)", 20, 96));
        Refused("cbc(des3_ede) takes a key of 192 bits, not 128.", Cipher("cbc(des3_ede)", 16), Mac("hmac(sha1)", 20, 96));
        Refused(
            "rfc3686(ctr(aes)) takes a key of 160, 224 or 288 bits, the last 32 of them the nonce, not 128.",
            Cipher("rfc3686(ctr(aes))", 16),
            Mac("hmac(sha1)", 20, 96));
        Refused("ecb(cipher_null) takes no key, and one of 64 bits was given.", Cipher("ecb(cipher_null)", 8), Mac("hmac(sha1)", 20, 96));
        Refused("hmac(sha1) needs a key.", Cipher("cbc(aes)", 16), Mac("hmac(sha1)", 0, 96));
        Refused("xcbc(aes) takes a key of 128 bits, not 256.", Cipher("cbc(aes)", 16), Mac("xcbc(aes)", 32, 96));
        Refused("cmac(aes) takes a key of 128, 192 or 256 bits, not 136.", Cipher("cbc(aes)", 16), Mac("cmac(aes)", 17, 96));
    }

    [Theory]
    [InlineData("hmac(sha256)", 264, 256)]
    [InlineData("hmac(sha256)", 100, 256)]
    [InlineData("hmac(sha256)", 32, 256)]
    [InlineData("hmac(md5)", 160, 128)]
    [InlineData("hmac(sha1)", -8, 160)]
    [InlineData("cmac(aes)", 136, 128)]
    public void Create_WrongIcv_NamesTheSizes(string name, int bits, int full) => Refused(
        $"{name} takes an ICV of 64 to {full} bits in whole bytes, not {bits}.",
        Cipher("cbc(aes)", 16),
        Mac(name, 16, bits));

    // RFC 2451 §2.3; parity bits do not count.
    [Fact]
    public void Create_TripleDesWithRepeatedKey_IsRefused()
    {
        byte[] one = [1, 2, 3, 4, 5, 6, 7, 8];
        byte[] oneOtherParity = [0, 3, 2, 5, 4, 7, 6, 9];
        byte[] two = [9, 10, 11, 12, 13, 14, 15, 16];
        const string Reason = "cbc(des3_ede) takes three keys of which neighbours differ; these repeat, which makes it single DES.";
        Refused(Reason, new AlgorithmSpec(AlgorithmKind.Encryption, "cbc(des3_ede)", [.. one, .. one, .. two], 0), Mac("hmac(sha1)", 20, 96));
        Refused(Reason, new AlgorithmSpec(AlgorithmKind.Encryption, "cbc(des3_ede)", [.. two, .. one, .. oneOtherParity], 0), Mac("hmac(sha1)", 20, 96));
        var keying2 = new AlgorithmSpec(AlgorithmKind.Encryption, "cbc(des3_ede)", [.. one, .. two, .. one], 0);
        AlgorithmCases.Create([keying2, Mac("hmac(sha1)", 20, 96)], esn: false).Dispose();
    }

    [Fact]
    public void Create_UnknownName_IsRefusedByName()
    {
        Refused("cbc(serpent) is not an algorithm that Espalier has.", Cipher("cbc(serpent)", 16), Mac("hmac(sha1)", 20, 96));
        Refused("hmac(rmd160) is not an algorithm that Espalier has.", Cipher("cbc(aes)", 16), Mac("hmac(rmd160)", 20, 96));
        Refused("rfc4106(gcm(sm4)) is not an algorithm that Espalier has.", Aead("rfc4106(gcm(sm4))", 20, 128));
    }

    private static void Refused(string sentence, params AlgorithmSpec[] specs)
    {
        Assert.False(EspTransformFactory.TryCreate(specs, false, out var transform, out string? error));
        Assert.Null(transform);
        Assert.Equal(sentence, error);
        foreach (var spec in specs.Where(static spec => spec.Key.Length > 0))
        {
            Assert.DoesNotContain(Convert.ToHexStringLower(spec.Key), error, StringComparison.OrdinalIgnoreCase);
        }
    }

    private static AlgorithmSpec[] Pair(string cipher, int keyLength, AlgorithmSpec mac) => [Cipher(cipher, keyLength), mac];

    private static AlgorithmSpec Cipher(string name, int keyLength) => new(AlgorithmKind.Encryption, name, Key(keyLength), 0);

    private static AlgorithmSpec Mac(string name, int keyLength, int icvBits) =>
        new(AlgorithmKind.AuthenticationTruncated, name, Key(keyLength), icvBits);

    private static AlgorithmSpec Aead(string name, int keyLength, int icvBits) => new(AlgorithmKind.Aead, name, Key(keyLength), icvBits);

    private static byte[] Key(int length) => [.. Enumerable.Range(0xa0, length).Select(static value => (byte)value)];
}
