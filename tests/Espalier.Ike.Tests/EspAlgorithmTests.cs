using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Every ESP algorithm that charon offers and Espalier has, one CHILD_SA each: pings and 10 MB of TCP each way.</summary>
public sealed class EspAlgorithmTests
{
    private const int Bytes = 10_000_000;

    /// <summary>Proposals, and what `swanctl --list-sas` calls them.</summary>
    private static readonly (string Proposal, string Shown)[] Common =
    [
        ("aes128gcm64", "AES_GCM_8_128"), ("aes192gcm96", "AES_GCM_12_192"), ("aes256gcm128", "AES_GCM_16_256"),
        ("aes128ccm64", "AES_CCM_8_128"), ("aes192ccm96", "AES_CCM_12_192"), ("aes256ccm128", "AES_CCM_16_256"),
        ("chacha20poly1305", "CHACHA20_POLY1305"),
        ("aes128-sha1", "AES_CBC_128 HMAC_SHA1_96"), ("aes192-sha384", "AES_CBC_192 HMAC_SHA2_384_192"), ("aes256-sha512", "AES_CBC_256 HMAC_SHA2_512_256"),
        ("aes128ctr-sha256", "AES_CTR_128 HMAC_SHA2_256_128"), ("aes192ctr-aesxcbc", "AES_CTR_192 AES_XCBC_96"), ("aes256ctr-aescmac", "AES_CTR_256 AES_CMAC_96"),
        ("3des-md5", "3DES_CBC HMAC_MD5_96"), ("null-sha256", "NULL HMAC_SHA2_256_128"),
        ("camellia128-sha256", "CAMELLIA_CBC_128 HMAC_SHA2_256_128"), ("camellia256-sha512", "CAMELLIA_CBC_256 HMAC_SHA2_512_256"),
    ];

    /// <summary>What kernel-libipsec has not: GMAC, and HMAC-SHA-256 cut to 96 bits.</summary>
    private static readonly (string Proposal, string Shown)[] OwnOnly =
    [
        ("aes128gmac", "NULL_AES_GMAC_128"), ("aes192gmac", "NULL_AES_GMAC_192"), ("aes256gmac", "NULL_AES_GMAC_256"), ("aes128-sha256_96", "AES_CBC_128 HMAC_SHA2_256_96"),
    ];

    public static TheoryData<Plane, bool> Peers { get; } = new() { { Plane.Libipsec, false }, { Plane.Espalier, true } };

    [Theory]
    [MemberData(nameof(Peers))]
    public void Algorithm_OneChildEach_CarriesPingAndTcpBothWays(Plane peer, bool esn)
    {
        // The 96 bits are a number for private use, which strongSwan proposes to itself only.
        var itself = new CharonOptions { Settings = "send_vendor_id = yes" };
        using var site = new Site(Plane.Espalier, peer, itself, itself);
        foreach (var (proposal, shown) in peer == Plane.Espalier ? [.. Common, .. OwnOnly] : Common)
        {
            site.Connect(Site.NetToNet with { EspProposals = proposal + (esn ? "-esn" : "") });
            var child = site.Moon.Child();
            Assert.Equal(shown, $"{child.Encryption} {child.Integrity}".Trim());
            Assert.Equal(esn ? "1" : "", child.Raw["esn"]);

            site.AliceHost.Sh("ping -c 2 -i 0.02 -W 2 10.2.0.10").Expect();
            TcpTransfer.BothWays(site.AliceHost, site.BobHost, "10.2.0.10", Bytes);

            site.Moon.Terminate("gw-gw");
        }
    }
}
