using Espalier.Ipsec.Spd;
using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests;

/// <summary>What a policy with the flag icmp catches. The hosts are drawn at <see cref="RoutedHost"/>.</summary>
public sealed class IcmpFlagTests
{
    // XFRM_POLICY_ICMP: an ICMP error of a router that the selector does not cover must come to the TUN, which decides about it.
    [Theory]
    [InlineData((byte)2, true)]
    [InlineData((byte)0, false)]
    public void SourceOutsideTheSelector_IsCaughtWithFlagIcmp(byte flags, bool caught)
    {
        using var host = new RoutedHost();
        var plain = Out("10.3.0.1/32", "10.2.0.0/16");
        host.Add(new SecurityPolicy
        {
            Selector = plain.Selector,
            Direction = plain.Direction,
            Priority = plain.Priority,
            Flags = flags,
            Templates = plain.Templates,
        });

        string route = host.Host.Ip("route get 10.2.0.5 from 192.168.0.1");

        Assert.Equal(caught, route.Contains("dev esp0", StringComparison.Ordinal));
    }
}
