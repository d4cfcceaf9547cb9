using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>Hosts as the scenarios want them.</summary>
internal static class IkeHosts
{
    /// <summary>A host with strict rp_filter.</summary>
    public static NetworkNamespace Create(string role, bool forwards = false)
    {
        var host = NetworkNamespace.Create(role);
        host.Sysctl("ipv4/conf/all/rp_filter", "1");
        host.Sysctl("ipv4/conf/default/rp_filter", "1");
        host.Sysctl("ipv4/icmp_ratelimit", "0");
        host.Sysctl("ipv6/icmp/ratelimit", "0");
        if (forwards)
        {
            host.Sysctl("ipv4/ip_forward", "1");
            host.Sysctl("ipv6/conf/all/forwarding", "1");
        }

        return host;
    }
}
