using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Events;

/// <summary>How long a larval SA lives: as the kernel's setting says at the time, because IKE daemons write it after our start.</summary>
public sealed class AcquireExpiresTests
{
    [Fact]
    public void LarvalSa_SettingChanges_TheNextOneTakesItOver()
    {
        uint? setting = 165;
        using var harness = new ServiceHarness(options: new XfrmOptions { ReadAcquireExpires = () => setting });

        Assert.Equal(165ul, Allocate(harness, 0x1000));
        setting = 7;
        Assert.Equal(7ul, Allocate(harness, 0x1001));
        setting = null; // a kernel without XFRM
        Assert.Equal(30ul, Allocate(harness, 0x1002));
    }

    private static ulong Allocate(ServiceHarness harness, uint spi)
    {
        var answer = Parsed.All(harness.Expect(Request.AllocSpi(spi, spi)))[0];
        Assert.Equal((ushort)XfrmMessage.NewSa, answer.Type);
        return answer.Body<XfrmUserSaInfo>().Limits.HardAddExpiresSeconds;
    }
}
