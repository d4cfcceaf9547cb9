using Espalier.Testing;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>ALLOCSPI: which SPI is chosen, and how long its larval SA lives.</summary>
public sealed class SpiHandlerTests
{
    [Fact]
    public void AllocSpi_FullRange_SaysNoEntryAndRandomRangesFill()
    {
        using var service = new ServiceHarness();
        for (int i = 0; i < 16; i++)
        {
            service.Expect(Request.AllocSpi(0x1000, 0x100f));
        }

        Assert.Equal(16, service.Database.Sad.All.Select(sa => sa.Id.Spi).Distinct().Count());
        Assert.Equal(LinuxError.NoEntry, service.ExpectError(Request.AllocSpi(0x1000, 0x100f)).Errno);
        Assert.Equal(LinuxError.NoEntry, service.ExpectError(Request.AllocSpi(0, 0)).Errno);
    }

    // Reserved by RFC 4303, and given out by the kernel to who asks for them; 0 is not.
    [Fact]
    public void AllocSpi_RangeOfReserved_GivesOneToTheLastAndNeverZero()
    {
        using var service = new ServiceHarness();
        for (int i = 0; i < 3; i++)
        {
            service.Expect(Request.AllocSpi(0, 3));
        }

        Assert.Equal([1u, 2u, 3u], service.Database.Sad.All.Select(sa => sa.Id.Spi.Value).Order());
        Assert.Equal(LinuxError.NoEntry, service.ExpectError(Request.AllocSpi(0, 3)).Errno);
    }

    [Fact]
    public void AllocSpi_NotFilled_ExpiresAfterThirtySeconds()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        service.Expect(Request.AllocSpi(0x1000, 0x1000));
        clock.Advance(TimeSpan.FromSeconds(29));
        service.Service.Events.RunDue();
        Assert.Equal(1, service.Database.Sad.Count);

        service.Notifications.Clear();
        clock.Advance(TimeSpan.FromSeconds(1));
        service.Service.Events.RunDue();

        Assert.Equal(0, service.Database.Sad.Count);
        var (group, message) = Assert.Single(service.Notifications);
        Assert.Equal(XfrmGroup.Expire, group);
        Assert.Equal(1, Parsed.All(message)[0].Body<XfrmUserExpire>().Hard);
    }
}
