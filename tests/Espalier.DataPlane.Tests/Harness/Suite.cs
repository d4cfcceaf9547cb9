using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>Algorithms of an SA with fixed keys.</summary>
internal sealed record Suite(string Name, (AlgorithmKind Kind, string Algorithm, int KeyBytes, int IcvBits)[] Parts)
{
    public static Suite Gcm { get; } = new("aes128gcm16", [(AlgorithmKind.Aead, "rfc4106(gcm(aes))", 20, 128)]);

    public static Suite Gcm96 { get; } = new("aes256gcm12", [(AlgorithmKind.Aead, "rfc4106(gcm(aes))", 36, 96)]);

    public static Suite Gcm64 { get; } = new("aes128gcm8", [(AlgorithmKind.Aead, "rfc4106(gcm(aes))", 20, 64)]);

    public static Suite Gmac { get; } = new("aes128gmac", [(AlgorithmKind.Aead, "rfc4543(gcm(aes))", 20, 128)]);

    public static Suite Ccm { get; } = new("aes128ccm16", [(AlgorithmKind.Aead, "rfc4309(ccm(aes))", 19, 128)]);

    public static Suite ChaCha { get; } = new("chacha20poly1305", [(AlgorithmKind.Aead, "rfc7539esp(chacha20,poly1305)", 36, 128)]);

    public static Suite CbcSha256 { get; } = new("aes128-sha256",
        [(AlgorithmKind.Encryption, "cbc(aes)", 16, 0), (AlgorithmKind.AuthenticationTruncated, "hmac(sha256)", 32, 128)]);

    public static Suite CtrSha1 { get; } = new("aes128ctr-sha1",
        [(AlgorithmKind.Encryption, "rfc3686(ctr(aes))", 20, 0), (AlgorithmKind.Authentication, "hmac(sha1)", 20, 96)]);

    public static Suite NullSha1 { get; } = new("null-sha1",
        [(AlgorithmKind.Encryption, "ecb(cipher_null)", 0, 0), (AlgorithmKind.Authentication, "hmac(sha1)", 20, 96)]);

    public static Suite[] All => [Gcm, Gcm96, Gcm64, Gmac, Ccm, ChaCha, CbcSha256, CtrSha1, NullSha1];

    public AlgorithmSpec[] Specs() =>
        [.. Parts.Select(part => new AlgorithmSpec(
            part.Kind, part.Algorithm, [.. Enumerable.Range(0, part.KeyBytes).Select(i => (byte)(i * 7 + 3))], part.IcvBits))];

    public EspTransform Transform(bool esn)
    {
        Assert.True(EspTransformFactory.TryCreate(Specs(), esn, out var transform, out string? error), error);
        return transform;
    }

    /// <summary>An SA in UDP with reqid 1 and a wide replay window, which takes inner packets of both versions.</summary>
    public SecurityAssociation Association(uint spi, InternetAddress source, ushort sourcePort, InternetAddress destination, ushort destinationPort) => new()
    {
        Id = new SaIdentity(new Spi(spi), destination),
        Source = source,
        State = SaState.Valid,
        ReqId = 1,
        Flags = SaFlags.AfUnspec,
        Encapsulation = new UdpEncapsulation(sourcePort, destinationPort, default),
        Algorithms = Specs(),
        Transform = Transform(false),
        Replay = new ReplayWindow(4096, false),
    };

    public override string ToString() => Name;
}
