using Espalier.Io.Netlink;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Netlink;

public sealed class RouteMonitorTests
{
    private const byte Ignored = 69;

    [Fact]
    public void Drain_NothingChanged_IsNone() => InNamespace((monitor, _) => Assert.Equal(RouteChanges.None, monitor.Drain()));

    [Fact]
    public void Drain_AddressAdded_TellsOfAddressAndLocalRoute() => InNamespace((monitor, netlink) =>
    {
        netlink.AddAddress(1, AddressPrefix.Parse("10.1.2.3/32"));

        var changes = monitor.Drain();
        Assert.True(changes.HasFlag(RouteChanges.Addresses | RouteChanges.LocalRoutes), changes.ToString());
        Assert.Equal(RouteChanges.None, monitor.Drain());
    });

    [Fact]
    public void Drain_LinkChanged_TellsOfLinks() => InNamespace((monitor, netlink) =>
    {
        netlink.SetLink(1, new LinkChange { Mtu = 1400 });

        Assert.True(monitor.Drain().HasFlag(RouteChanges.Links));
    });

    [Theory]
    [InlineData(Ignored, RouteChanges.None)]
    [InlineData(4, RouteChanges.Routes)]
    public void Drain_RoutesOfAProtocol_AreToldUnlessIgnored(byte protocol, RouteChanges expected) => InNamespace((monitor, netlink) =>
    {
        foreach (string prefix in (ReadOnlySpan<string>)["10.0.0.0/8", "fd00::/8"])
        {
            var route = new RouteEntry(AddressPrefix.Parse(prefix), 4550) { Protocol = protocol, Type = RouteType.Unreachable, Metric = 5 };
            Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Replace, route), new(RouteOperation.Delete, route)]));
        }

        Assert.Equal(expected, monitor.Drain());
    });

    [Fact]
    public void Drain_MoreThanTheQueueHolds_TellsThatEverythingChanged() => InNamespace((monitor, netlink) =>
    {
        var changes = Enumerable.Range(0, 20_000)
            .Select(i => new RouteEntry(AddressPrefix.Parse($"10.{i >> 8}.{i & 255}.0/24"), 4550) { Protocol = 4, Type = RouteType.Unreachable })
            .Select(route => new RouteChange(RouteOperation.Replace, route)).ToList();
        Assert.Empty(netlink.ApplyRoutes(changes));

        Assert.Equal(RouteChanges.All, monitor.Drain());
        Assert.Equal(1, monitor.Overruns);
        Assert.Equal(RouteChanges.None, monitor.Drain());
    });

    private static void InNamespace(Action<RouteMonitor, RouteNetlink> test)
    {
        Requirement.Namespaces();
        using var host = NetworkNamespace.Create("mon");
        host.Run(() =>
        {
            using var netlink = new RouteNetlink();
            using var monitor = new RouteMonitor(Ignored);
            test(monitor, netlink);
        });
    }
}
