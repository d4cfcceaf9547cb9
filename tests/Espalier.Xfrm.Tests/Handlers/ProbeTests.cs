using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>What pluto (libreswan, programs/pluto/kernel_xfrm.c) sends at its start to find out what the kernel can, and what it concludes.</summary>
public sealed class ProbeTests
{
    // qry_xfrm_base_support: SPI 1 in host order between unspecified addresses.
    private const uint Spi = 0x0100_0000;

    [Fact]
    public void Directions_ByAnSaOfNoAddresses_AreThere()
    {
        using var service = new ServiceHarness();

        service.Expect(Probe(1).WithBytes(XfrmAttribute.SaDirection, 2));
        service.Expect(Request.SaId(XfrmMessage.DeleteSa, "0.0.0.0", Spi));

        Assert.Empty(service.Database.Sad.All);
    }

    [Fact]
    public void Iptfs_ByAnSaOfThatMode_IsNot()
    {
        using var service = new ServiceHarness();

        var answer = Parsed.All(Assert.Single(service.Handle(
            Probe(5).WithBytes(XfrmAttribute.SaDirection, 2).With(XfrmAttribute.IptfsMaximumQueueSize, 1u << 20).WithBytes(XfrmAttribute.IptfsDontFragment))))[0];

        Assert.Equal(LinuxError.NotSupported, answer.Errno);
    }

    // qry_xfrm_migrate_support: anything but ENOPROTOOPT.
    [Fact]
    public void Migrate_OfZeroes_IsThere()
    {
        using var service = new ServiceHarness();

        var answer = Parsed.All(Assert.Single(service.Handle(
            Request.Of(XfrmMessage.Migrate, (ref XfrmUserPolicyId _) => { }, Netlink.Request).With(XfrmAttribute.Migrate, default(XfrmUserMigrate)))))[0];

        Assert.Equal(LinuxError.NoEntry, answer.Errno);
    }

    private static Request Probe(byte mode) => Request.NewSa(
            "0.0.0.0",
            "0.0.0.0",
            Spi,
            aead: false,
            change: (ref XfrmUserSaInfo info) =>
            {
                info.Mode = mode;
                info.ReqId = 1;
            })
        .WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16))
        .WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha256)", Request.Key(32), 128);
}
