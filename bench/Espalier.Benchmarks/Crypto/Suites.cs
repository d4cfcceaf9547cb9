using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;

namespace Espalier.Benchmarks.Crypto;

/// <summary>The algorithms that peers propose, and which engine has which: what an engine does not bring, <c>system</c> does, and it is measured there.</summary>
internal static class Suites
{
    private static readonly (string Name, AeadMode? Mode, (AlgorithmKind Kind, string Algorithm, int KeyBytes, int IcvBits)[] Parts)[] s_all =
    [
        ("aes128gcm16", AeadMode.AesGcm, [(AlgorithmKind.Aead, "rfc4106(gcm(aes))", 20, 128)]),
        ("aes256gcm16", AeadMode.AesGcm, [(AlgorithmKind.Aead, "rfc4106(gcm(aes))", 36, 128)]),
        ("chacha20poly1305", AeadMode.ChaCha20Poly1305, [(AlgorithmKind.Aead, "rfc7539esp(chacha20,poly1305)", 36, 128)]),
        ("aes128ccm16", AeadMode.AesCcm, [(AlgorithmKind.Aead, "rfc4309(ccm(aes))", 19, 128)]),
        ("aes128-sha256", null, [(AlgorithmKind.Encryption, "cbc(aes)", 16, 0), (AlgorithmKind.AuthenticationTruncated, "hmac(sha256)", 32, 128)]),
        ("aes256-sha512", null, [(AlgorithmKind.Encryption, "cbc(aes)", 32, 0), (AlgorithmKind.AuthenticationTruncated, "hmac(sha512)", 64, 256)]),
        ("aes128ctr-sha1", null, [(AlgorithmKind.Encryption, "rfc3686(ctr(aes))", 20, 0), (AlgorithmKind.Authentication, "hmac(sha1)", 20, 96)]),
        ("null-sha1", null, [(AlgorithmKind.Encryption, "ecb(cipher_null)", 0, 0), (AlgorithmKind.Authentication, "hmac(sha1)", 20, 96)]),
    ];

    /// <summary>Engine and algorithm, as <see cref="Create"/> takes them.</summary>
    internal static IEnumerable<string> Names =>
        from engine in Workload.Engines
        from suite in s_all
        where suite.Mode is { } mode ? Workload.Engine(engine).TagLengths(mode).Contains(16) : engine == CryptoEngine.System.Name
        select $"{engine} {suite.Name}";

    internal static EspTransform Create(string name)
    {
        string[] words = name.Split(' ');
        var parts = s_all.Single(suite => suite.Name == words[1]).Parts;
        AlgorithmSpec[] specs = [.. parts.Select(part => new AlgorithmSpec(part.Kind, part.Algorithm, Key(part.KeyBytes), part.IcvBits))];
        return EspTransformFactory.TryCreate(specs, false, Workload.Engine(words[0]), out var transform, out string? error)
            ? transform : throw new InvalidOperationException(error);
    }

    private static byte[] Key(int length) => [.. Enumerable.Range(1, length).Select(i => (byte)i)];
}
