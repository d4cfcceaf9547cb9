using Espalier.Io.Interop;
using Espalier.Io.Netlink;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Netlink;

/// <summary>Each test has a network namespace of its own, with a veth pair <c>a</c>–<c>b</c> inside it.</summary>
public sealed class RouteNetlinkTests
{
    private const byte Protocol = 69;
    private const uint Table = 4550;

    [Fact]
    public void Links_OfANewNamespace_AreListedAndChanged() => InNamespace((netlink, _) =>
    {
        Assert.Equal(["a", "b", "lo"], netlink.GetLinks().Select(link => link.Name).Order());
        var link = netlink.GetLink("a");
        Assert.False(link.IsLoopback);
        Assert.True(netlink.GetLink(1).IsLoopback);

        netlink.SetLink(link.Index, new LinkChange { Up = true, Mtu = 1321, Multicast = false, TransmitQueueLength = 77, NoGeneratedAddresses = true });

        var changed = netlink.GetLink(link.Index);
        Assert.True(changed.IsUp);
        Assert.Equal(1321, changed.Mtu);
        Assert.Equal(77, changed.TransmitQueueLength);
        Assert.Equal(0u, changed.Flags & Rtnetlink.IFF_MULTICAST);
        Assert.Equal("1", File.ReadAllText("/proc/sys/net/ipv6/conf/a/addr_gen_mode").Trim());

        netlink.SetLink(link.Index, new LinkChange { Up = false });
        Assert.False(netlink.GetLink(link.Index).IsUp);
        Assert.Equal(Errno.ENODEV, Assert.Throws<NetlinkException>(() => netlink.GetLink("none")).ErrorNumber);
    });

    [Fact]
    public void VethPair_WithPeerElsewhere_IsMadeThere()
    {
        Requirement.Namespaces();
        using var here = NetworkNamespace.Create("here");
        using var there = NetworkNamespace.Create("there");
        here.Run(() =>
        {
            using var netlink = new RouteNetlink();
            using var descriptor = new SafeDescriptor(Libc.open($"/run/netns/{there.Name}", Files.O_RDONLY | Files.O_CLOEXEC));
            netlink.AddVethPair("near", "far", descriptor, 1400);
            Assert.Equal(1400, netlink.GetLink("near").Mtu);
        });
        there.Run(() =>
        {
            using var netlink = new RouteNetlink();
            Assert.Equal(1400, netlink.GetLink("far").Mtu);
        });
    }

    [Fact]
    public void Addresses_Added_AreListed() => InNamespace((netlink, link) =>
    {
        var four = AddressPrefix.Parse("10.1.2.3/24");
        var six = AddressPrefix.Parse("fd00::3/64");
        netlink.AddAddress(link, four);
        netlink.AddAddress(link, six);
        Assert.Contains(new InterfaceAddress(link, four, 0, 0x80), netlink.GetAddresses());
        Assert.Contains(netlink.GetAddresses(), address => address.Prefix == six && address.IsUsable && !address.IsDeprecated);
    });

    [Theory]
    [InlineData("10.0.0.0/8", "10.9.0.1", 0)]
    [InlineData("0.0.0.0/0", null, 0)]
    [InlineData("fd01::/16", "fd00::3", 0)]
    [InlineData("::/0", null, 1400)]
    public void Route_EveryField_ComesBackAsItWent(string destination, string? source, int mtu) => InNamespace((netlink, link) =>
    {
        netlink.SetLink(link, new LinkChange { Up = true });
        netlink.AddAddress(link, AddressPrefix.Parse("10.9.0.1/24"));
        netlink.AddAddress(link, AddressPrefix.Parse("fd00::3/64"));
        var prefix = AddressPrefix.Parse(destination);
        var route = new RouteEntry(prefix, Table)
        {
            Protocol = Protocol,
            OutputInterface = link,
            Metric = 10,
            Mtu = mtu,
            HopLimit = mtu == 0 ? 0 : 3,
            Scope = (byte)(prefix.Version == IpVersion.IPv4 ? 253 : 0),
            PreferredSource = source is null ? default : InternetAddress.Parse(source),
        };

        Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Replace, route)]));
        Assert.Equal([route], netlink.GetRoutes(prefix.Version, Table, Protocol));
        Assert.Empty(netlink.GetRoutes(prefix.Version, Table, 70));

        Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Delete, route), new(RouteOperation.Delete, route)]));
        Assert.Empty(netlink.GetRoutes(prefix.Version, Table));
    });

    [Fact]
    public void Routes_OneRefusedOfMany_IsNamedAndTheOthersAreDone() => InNamespace((netlink, _) =>
    {
        var changes = Enumerable.Range(0, 1000)
            .Select(i => new RouteEntry(AddressPrefix.Parse($"10.{i >> 8}.{i & 255}.0/24"), Table) { Protocol = Protocol, Type = RouteType.Unreachable })
            .Select(route => new RouteChange(RouteOperation.Replace, route)).ToArray();
        changes[500] = new(RouteOperation.Replace, changes[500].Route with { Type = RouteType.Unicast, OutputInterface = 9999 });

        var error = Assert.Single(netlink.ApplyRoutes(changes));

        Assert.Equal((500, Errno.ENODEV), (error.Index, error.ErrorNumber));
        Assert.Equal(999, netlink.GetRoutes(IpVersion.IPv4, Table).Count);
    });

    [Theory]
    [InlineData(IpVersion.IPv4)]
    [InlineData(IpVersion.IPv6)]
    public void Rules_AddedTwiceAndRemoved_AreThereOnce(IpVersion version) => InNamespace((netlink, _) =>
    {
        var source = AddressPrefix.Parse(version == IpVersion.IPv4 ? "10.1.0.0/16" : "fd00::/16");
        RuleEntry[] rules =
        [
            new(version, 214) { Action = RuleAction.Nop, Table = Table, Protocol = Protocol },
            new(version, 210) { Action = RuleAction.Goto, GotoPriority = 214, Mark = 0x4550, Table = Table, Protocol = Protocol },
            new(version, 210) { Action = RuleAction.Goto, GotoPriority = 214, Mark = 0x14550, InputInterface = "lo", Table = Table, Protocol = Protocol },
            new(version, 210) { Action = RuleAction.Goto, GotoPriority = 214, Mark = 0x14550, InputInterface = "none0", Table = Table, Protocol = Protocol },
            new(version, 211) { Source = source, Table = Table, Protocol = Protocol },
            new(version, 212) { Source = source, Invert = true, Table = 70_086, Protocol = Protocol },
        ];

        Assert.Empty(netlink.AddRules(rules));
        Assert.Empty(netlink.AddRules(rules));
        Assert.Equal(rules.OrderBy(rule => rule.Priority), netlink.GetRules(version).Where(rule => rule.Protocol == Protocol));

        Assert.Empty(netlink.DeleteRules(rules));
        Assert.Empty(netlink.DeleteRules(rules));
        Assert.DoesNotContain(netlink.GetRules(version), rule => rule.Protocol == Protocol);
    });

    [Fact]
    public void Query_Destination_NamesDeviceAndSource() => InNamespace((netlink, link) =>
    {
        netlink.SetLink(link, new LinkChange { Up = true });
        netlink.AddAddress(link, AddressPrefix.Parse("10.9.0.1/24"));

        var route = netlink.QueryRoute(InternetAddress.Parse("10.9.0.77"), default, 0);

        Assert.Equal((link, InternetAddress.Parse("10.9.0.1")), (route?.OutputInterface, route?.PreferredSource));
        Assert.Null(netlink.QueryRoute(InternetAddress.Parse("192.0.2.1"), default, 0));
    });

    [Theory]
    [InlineData(IpVersion.IPv4, "10.9.0.1/24", "10.8.0.0/16", "10.8.0.1")]
    [InlineData(IpVersion.IPv6, "fd09::1/64", "fd08::/64", "fd08::1")]
    public void Query_ConfiguredMtu_IsThatOfTheTable(IpVersion version, string address, string prefix, string destination) => InNamespace((netlink, link) =>
    {
        netlink.SetLink(link, new LinkChange { Up = true });
        netlink.AddAddress(link, AddressPrefix.Parse(address));
        var route = new RouteEntry(AddressPrefix.Parse(prefix), 254) { OutputInterface = link, Protocol = Protocol, Mtu = 1400, Scope = (byte)(version == IpVersion.IPv4 ? 253 : 0) };
        Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Replace, route)]));
        var near = AddressPrefix.Parse(address).Address;

        Assert.Equal(1400, netlink.QueryConfiguredMtu(InternetAddress.Parse(destination), near, 0));
        Assert.Equal(0, netlink.QueryConfiguredMtu(InternetAddress.Parse(version == IpVersion.IPv4 ? "10.9.0.7" : "fd09::7"), near, 0));
        Assert.Equal(0, netlink.QueryConfiguredMtu(InternetAddress.Parse(version == IpVersion.IPv4 ? "192.0.2.1" : "2001:db8::1"), default, 0));
    });

    [Fact]
    public void Refusal_InTheKernelsWords_IsInTheMessage() => InNamespace((netlink, link) =>
    {
        var refused = Assert.Throws<NetlinkException>(() => netlink.SetLink(link, new LinkChange { Mtu = 10 }));

        Assert.Equal(Errno.EINVAL, refused.ErrorNumber);
        Assert.NotNull(refused.KernelText);
        Assert.Contains(refused.KernelText, refused.Message, StringComparison.Ordinal);
    });

    private static void InNamespace(Action<RouteNetlink, uint> test)
    {
        Requirement.Namespaces();
        using var host = NetworkNamespace.Create("rtnl");
        host.Run(() =>
        {
            using var netlink = new RouteNetlink();
            netlink.AddVethPair("a", "b");
            netlink.SetLink(netlink.GetLink("b").Index, new LinkChange { Up = true });
            test(netlink, netlink.GetLink("a").Index);
        });
    }
}
