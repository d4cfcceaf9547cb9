using Espalier.Io.Netlink;
using Espalier.Routing.Addresses;
using Espalier.Routing.Tests.Hosts;
using Espalier.Testing;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Addresses;

[Collection(nameof(AllocationCollection))]
public sealed class LocalAddressesTests
{
    [Theory]
    [InlineData("192.168.0.1", true)]
    [InlineData("192.168.0.255", true)]
    [InlineData("192.168.0.2", false)]
    [InlineData("127.0.0.1", true)]
    [InlineData("127.3.4.5", true)]
    [InlineData("255.255.255.255", true)]
    [InlineData("224.0.0.5", true)]
    [InlineData("239.255.255.255", true)]
    [InlineData("240.0.0.1", false)]
    [InlineData("10.77.3.4", true)]
    [InlineData("10.78.0.1", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("fd00:9::1", true)]
    [InlineData("fd00:9::2", false)]
    [InlineData("::1", true)]
    [InlineData("ff02::1", true)]
    [InlineData("fd77::1234", true)]
    [InlineData("2001:db8::1", false)]
    public void IsLocal_AddressOfAHost_IsWhatItDelivers(string address, bool expected)
    {
        using var host = new RoutedHost();
        host.Host.Ip("route add local 10.77.0.0/16 dev lo");
        host.Host.Ip("-6 route add local fd77::/64 dev lo");
        host.Host.Run(() => host.Controller.Process());

        Assert.Equal(expected, host.Controller.LocalAddresses.IsLocal(Ip(address)));
    }

    [Fact]
    public void IsLocal_AddressComesAndGoes_IsFollowed()
    {
        using var host = new RoutedHost();
        var addresses = host.Controller.LocalAddresses;
        host.Host.Ip("address add 10.5.0.1/32 dev lo");
        Assert.True(host.ProcessUntil(() => addresses.IsLocal(Ip("10.5.0.1"))));

        host.Host.Ip("address del 10.5.0.1/32 dev lo");

        Assert.True(host.ProcessUntil(() => !addresses.IsLocal(Ip("10.5.0.1"))));
    }

    [Fact]
    public void IsLocal_AMillionCalls_AllocateNothing()
    {
        var addresses = new LocalAddresses();
        using (var netlink = new RouteNetlink())
        {
            addresses.Refresh(netlink);
        }

        var (near, far, six) = (Ip("127.1.2.3"), Ip("192.0.2.77"), Ip("2001:db8::77"));
        bool any = addresses.IsLocal(near);
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 1_000_000; i++)
            {
                any &= addresses.IsLocal(near) && !addresses.IsLocal(far) && !addresses.IsLocal(six);
            }
        });

        Assert.Equal(0, allocated);
        Assert.True(any);
    }
}
