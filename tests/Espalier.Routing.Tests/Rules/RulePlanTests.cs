using Espalier.Io.Netlink;
using Espalier.Routing.Rules;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Rules;

/// <summary>Which of the two tables, or the main one, the kernel takes under the rules, for each kind of look-up.</summary>
public sealed class RulePlanTests
{
    private static readonly RoutingOptions Options = new() { TunnelName = "esp0" };

    // Each table leads to another device, so that the answer names the table.
    [Theory]
    [InlineData("10.9.0.1", null, 0, "10.3.0.0/16", "unspecified")]
    [InlineData("10.9.0.1", "10.3.0.1", 0, "10.3.0.0/16", "policies")]
    [InlineData("10.9.0.1", "10.4.0.1", 0, "10.3.0.0/16", "main")]
    [InlineData("10.9.0.1", "10.4.0.1", 0, "0.0.0.0/0", "policies")]
    [InlineData("10.9.0.1", null, 0, "0.0.0.0/0", "unspecified")]
    [InlineData("10.9.0.1", null, 0x4550, "0.0.0.0/0", "main")]
    [InlineData("10.9.0.1", "10.3.0.1", 0x4550, "10.3.0.0/16", "main")]
    [InlineData("10.9.0.1", "10.3.0.1", 0x14550, "10.3.0.0/16", "main")]
    [InlineData("10.9.0.1", "10.3.0.1", 0x24550, "0.0.0.0/0", "relay")]
    [InlineData("fd09::1", null, 0, "fd03::/64", "unspecified")]
    [InlineData("fd09::1", "fd03::1", 0, "fd03::/64", "policies")]
    [InlineData("fd09::1", "fd04::1", 0, "fd03::/64", "main")]
    [InlineData("fd09::1", "fd04::1", 0, "::/0", "policies")]
    [InlineData("fd09::1", "2001:db8::1", 0, "::/0", "policies")]
    [InlineData("fd09::1", null, 0, "::/0", "unspecified")]
    [InlineData("fd09::1", null, 0x4550, "::/0", "main")]
    [InlineData("fd09::1", "fd03::1", 0x4550, "fd03::/64", "main")]
    [InlineData("fd09::1", "fd03::1", 0x14550, "fd03::/64", "main")]
    public void Lookup_UnderTheRules_TakesTheTable(string destination, string? source, uint mark, string cover, string expected)
    {
        Requirement.Namespaces();
        using var host = NetworkNamespace.Create("rules");
        host.Run(() =>
        {
            using var netlink = new RouteNetlink();
            var version = Ip(destination).Version;
            var all = version == IpVersion.IPv4 ? AddressPrefix.AllIPv4 : AddressPrefix.AllIPv6;
            foreach (var (name, table) in new[] { ("main", 254u), ("policies", Options.Table), ("unspecified", Options.UnspecifiedSourceTable), ("relay", Options.RelayTable) })
            {
                netlink.AddVethPair(name, $"{name[0]}-peer");
                uint index = netlink.GetLink(name).Index;
                netlink.SetLink(netlink.GetLink($"{name[0]}-peer").Index, new LinkChange { Up = true });
                netlink.SetLink(index, new LinkChange { Up = true });
                foreach (string address in (string[])(version == IpVersion.IPv4 ? ["10.3.0.1/32", "10.4.0.1/32"] : ["fd03::1/128", "fd04::1/128", "2001:db8::1/128"]))
                {
                    netlink.AddAddress(index, Net(address));
                }

                var route = new RouteEntry(all, table) { OutputInterface = index, Protocol = Options.Protocol, Metric = 5, Scope = (byte)(version == IpVersion.IPv4 ? 253 : 0) };
                Assert.Empty(netlink.ApplyRoutes([new(RouteOperation.Replace, route)]));
            }

            var plan = new RulePlan(version, Options);
            Assert.Empty(netlink.AddRules(plan.Permanent(validationWasOff: false)));
            Assert.Empty(netlink.AddRules(plan.ForSources([Net(cover)])));

            var found = netlink.QueryRoute(Ip(destination), source is null ? default : Ip(source), mark);

            Assert.Equal(expected, netlink.GetLink(found!.Value.OutputInterface).Name);
        });
    }

    [Theory]
    [InlineData(4550u, 70_086u, 135_622u)]
    [InlineData(1u, 65_537u, 131_073u)]
    [InlineData(uint.MaxValue - 1, uint.MaxValue - 1 - 65_536, uint.MaxValue - 1 - 131_072)]
    [InlineData(uint.MaxValue - 65_536, uint.MaxValue, uint.MaxValue - 65_536 - 131_072)]
    public void TablesAndMarks_OfANumber_AreOthers(uint first, uint second, uint third)
    {
        var options = Options with { Table = first, Mark = first };

        Assert.Equal((second, third), (options.UnspecifiedSourceTable, options.RelayTable));
        Assert.Equal((second, third), (options.ArrivalMark, options.RelayMark));
    }
}
