using Espalier.Io.Netlink;

namespace Espalier.Routing.Settings;

/// <summary>
/// Sets the TUN up so that it is silent: no link-local address, no router solicitation, no duplicate address detection, no multicast and so no MLD.
/// Nothing arrives in it but what the routing rules send there.
/// </summary>
internal static class TunnelInterface
{
    // RFC 8200 §5: IPv6 needs 1,280.
    private const int BelowIPv6 = 1279;

    /// <summary>Configures the interface while it is down, then sets it up. Returns what could not be set, a sentence for each reason, for the log.</summary>
    /// <exception cref="NetlinkException">The kernel refused to set it up.</exception>
    internal static IReadOnlyList<string> SetUp(RouteNetlink netlink, LinkInfo tunnel, int mtu, bool withIPv6)
    {
        List<(string Setting, string Reason)> problems = [];

        if (withIPv6)
        {
            // IPv6 joined multicast groups when the device was made, with forwarding on also the routers', and would report them (MLD). Below its
            // smallest MTU it forgets the device, and afterwards takes it as one without multicast.
            netlink.SetLink(tunnel.Index, new LinkChange { Mtu = BelowIPv6, Up = false });
        }

        netlink.SetLink(tunnel.Index, new LinkChange { Multicast = false, Up = false });
        netlink.SetLink(tunnel.Index, new LinkChange { Mtu = mtu });
        if (withIPv6)
        {
            // Before disable_ipv6 is cleared, because clearing it makes the addresses.
            foreach (var (name, value) in new[]
            {
                ("addr_gen_mode", "1"), ("accept_ra", "0"), ("autoconf", "0"), ("router_solicitations", "0"), ("dad_transmits", "0"),
                ("accept_redirects", "0"), ("disable_ipv6", "0"),
            })
            {
                Set($"ipv6/conf/{tunnel.Name}/{name}", value);
            }
        }

        // The stricter of this and net.ipv4.conf.all.rp_filter holds. The policies decide which sources may arrive here.
        Set($"ipv4/conf/{tunnel.Name}/rp_filter", "0");
        Set($"ipv4/conf/{tunnel.Name}/accept_redirects", "0");
        Set($"ipv4/conf/{tunnel.Name}/send_redirects", "0");
        netlink.SetLink(tunnel.Index, new LinkChange { Up = true });
        return [.. problems.GroupBy(problem => problem.Reason).Select(alike => $"{string.Join(", ", alike.Select(problem => problem.Setting))}: {alike.Key}")];

        void Set(string path, string value)
        {
            if (KernelSetting.Write(path, value) is { } reason)
            {
                problems.Add((KernelSetting.Name(path), reason));
            }
        }
    }
}
