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

    [Theory]
    [InlineData(false, Ignored, RouteChanges.None)]
    [InlineData(true, Ignored, RouteChanges.Own)]
    [InlineData(true, 4, RouteChanges.None)]
    public void Drain_RulesRemoved_AreToldWhereAnotherRemovedOurs(bool another, byte protocol, RouteChanges expected) => InNamespace((monitor, netlink) =>
    {
        using var other = new RouteNetlink();
        foreach (var version in (ReadOnlySpan<IpVersion>)[IpVersion.IPv4, IpVersion.IPv6])
        {
            var rule = new RuleEntry(version, 100) { Table = 4550, Protocol = protocol };
            Assert.Empty(netlink.AddRules([rule]));
            Assert.Empty((another ? other : netlink).DeleteRules([rule]));
            Assert.Equal(expected, monitor.Drain());
        }
    });

    [Fact]
    public void Drain_IgnoredRoutesRemovedByAnother_AreTold() => InNamespace((monitor, netlink) =>
    {
        using var other = new RouteNetlink();
        foreach (string prefix in (ReadOnlySpan<string>)["10.0.0.0/8", "fd00::/8"])
        {
            var route = new RouteEntry(AddressPrefix.Parse(prefix), 4550) { Protocol = Ignored, Type = RouteType.Unreachable, Metric = 5 };
            Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Replace, route)]));
            Assert.Empty(other.ApplyRoutes([new(RouteOperation.Delete, route)]));
            Assert.Equal(RouteChanges.Own, monitor.Drain());
        }
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
            using var monitor = new RouteMonitor(Ignored, RouteChanges.All, netlink.PortId);
            test(monitor, netlink);
        });
    }
}
