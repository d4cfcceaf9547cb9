using System.Globalization;
using System.Text;

namespace Espalier.Routing.Guard;

/// <summary>
/// The fixed part of the nftables: hooks and exemptions, around the chains of the policies (<see cref="GuardGroup"/>).
/// <code>
/// prerouting −310  relay      mark R of what comes through lo hidden until
/// prerouting  310  arrive     mark R on again; IPv4, not from the TUN: mark A or M for the look-up of rp_filter
/// input      −310  delivered  marks off         forward   −310  routed     marks off
/// prerouting −310, −250  arrive_6, arrived_6   mark A around the rp_filter of IPv6 firewalls, which stands in between
/// input       300  inbound    in policies          output   300  outbound   out policies
/// forward    −300  forwarded  fwd policies, if it came in clear; out policies, if it is to leave in clear
/// arp input  −310  arrive     mark M, because rp_filter looks at ARP too
/// </code>
/// What most packets need comes first in each chain, and devices are compared by index: names cost a copy a packet. The TUN is there when nft reads this.
/// </summary>
internal sealed class GuardScript(RoutingOptions options)
{
    private const string LocalTypes = "{ local, broadcast, anycast, multicast }";

    private const string NeighborDiscovery =
        "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect, "
        + "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept";

    /// <summary>The name of both tables.</summary>
    internal string TableName => $"espalier_{options.TunnelName}";

    /// <summary>The table, with its family.</summary>
    internal string Table => $"inet {TableName}";

    /// <summary>The table of the mark for ARP, with its family.</summary>
    internal string ArpTable => $"arp {TableName}";

    private string Mark => options.Mark.ToString(CultureInfo.InvariantCulture);

    private string Arrival => options.ArrivalMark.ToString(CultureInfo.InvariantCulture);

    private string Relay => options.RelayMark.ToString(CultureInfo.InvariantCulture);

    /// <summary>The mark as a priority, in the notation of tc: two halves of 16 bits.</summary>
    private string RelayPriority => string.Create(CultureInfo.InvariantCulture, $"{options.RelayMark >> 16:x}:{options.RelayMark & 0xFFFF:x}");

    private string Tunnel => $"\"{options.TunnelName}\"";

    /// <summary>True for names that nft takes as part of an identifier.</summary>
    internal static bool IsPossibleName(string tunnelName) =>
        tunnelName.Length > 0 && tunnelName.All(static letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.');

    /// <summary>Makes the table anew, whatever was there under its name, in one transaction.</summary>
    internal string Create() => $$"""
        add table {{Table}}
        delete table {{Table}}
        table {{Table}} {
            counter in_clear { }
            counter fwd_clear { }
            counter out_clear { }
            chain in_4 { }
            chain in_6 { }
            chain fwd_4 { }
            chain fwd_6 { }
            chain out_4 { }
            chain out_6 { }
            chain exempt { }
            chain fwd_policies {
                meta nfproto ipv4 jump fwd_4
                meta nfproto ipv6 jump fwd_6
            }
            chain out_policies {
                meta nfproto ipv4 jump out_4
                meta nfproto ipv6 jump out_6
            }
            chain into_tunnel {
                icmp type redirect drop
                icmpv6 type nd-redirect drop
            }
            chain inbound {
                type filter hook input priority 300; policy accept;
                iif {{Tunnel}} accept
                iif "lo" accept
                jump exempt
                meta nfproto ipv4 jump in_4
                meta nfproto ipv6 jump in_6
            }
            chain forwarded {
                type filter hook forward priority -300; policy accept;
                iif != {{Tunnel}} jump fwd_policies
                oif != {{Tunnel}} meta mark != {{Mark}} jump out_policies
            }
            chain outbound {
                type filter hook output priority 300; policy accept;
                oif {{Tunnel}} goto into_tunnel
                oif "lo" accept
                meta mark {{Mark}} accept
                {{NeighborDiscovery}}
                ip6 saddr fe80::/10 accept
                jump out_policies
            }
        }

        """;

    /// <summary>
    /// Makes the marks on arrival, in the table that is there. They are on a packet for as short as possible: in IPv4 from the end of prerouting, where
    /// addresses are translated, to the start of input or forward, so that only rp_filter and the look-up of the route see them; in IPv6, whose kernel
    /// has no rp_filter, around the raw table, where firewalls have theirs. So no rule that saves marks to connections can save these. From such rules the mark
    /// of what is relayed through the loopback device is hidden too; meanwhile the packet's priority tells of it.
    /// The mark A exempts the look-up of rp_filter alone. Of a packet that is forwarded, but not into the TUN, that look-up cannot be told from one for a
    /// packet on its way; it gets the mark M, which exempts both, and the look-up of its route needs no catch.
    /// </summary>
    internal string CreateMark() => $$"""
        table {{Table}} {
            chain relay {
                type filter hook prerouting priority -310; policy accept;
                iif "lo" meta mark {{Relay}} meta priority set {{RelayPriority}} meta mark set 0
            }
            chain arrive {
                type filter hook prerouting priority 310; policy accept;
                iif {{Tunnel}} accept
                iif "lo" meta priority {{RelayPriority}} meta mark 0 meta mark set {{Relay}}
                iif "lo" accept
                meta nfproto ipv6 accept
                meta mark != 0 accept
                fib daddr type {{LocalTypes}} meta mark set {{Arrival}} accept
                fib saddr oif {{Tunnel}} fib daddr oif {{Tunnel}} meta mark set {{Arrival}} accept
                fib saddr oif {{Tunnel}} meta mark set {{Mark}}
            }
            chain delivered {
                type filter hook input priority -310; policy accept;
                meta mark 0 accept
                meta mark { {{Mark}}, {{Arrival}}, {{Relay}} } meta mark set 0
            }
            chain routed {
                type filter hook forward priority -310; policy accept;
                meta nfproto ipv4 meta mark { {{Mark}}, {{Arrival}} } meta mark set 0
            }
            chain arrive_6 {
                type filter hook prerouting priority -310; policy accept;
                meta nfproto ipv4 accept
                iif {{Tunnel}} accept
                iif "lo" accept
                meta mark != 0 accept
                fib daddr type {{LocalTypes}} meta mark set {{Arrival}} accept
                fib saddr oif {{Tunnel}} meta mark set {{Arrival}}
            }
            chain arrived_6 {
                type filter hook prerouting priority -250; policy accept;
                meta nfproto ipv6 meta mark {{Arrival}} meta mark set 0
            }
        }

        """;

    /// <summary>Makes the mark on arrival for ARP.</summary>
    internal string CreateArpMark() => $$"""
        add table {{ArpTable}}
        delete table {{ArpTable}}
        table {{ArpTable}} {
            chain arrive {
                type filter hook input priority -310; policy accept;
                meta mark set {{Mark}}
            }
        }

        """;

    /// <summary>
    /// Writes what reaches this host in clear whatever the policies say: ESP; IKE and encapsulated ESP; ICMP errors about these, from which the path MTU is
    /// learnt; neighbour discovery, MLD and link-local addresses, which no tunnel can carry.
    /// </summary>
    internal void WriteExemptions(StringBuilder script, IReadOnlyCollection<ushort> udpPorts)
    {
        string ports = $"{{ {string.Join(", ", udpPorts.Select(static port => port.ToString(CultureInfo.InvariantCulture)))} }}";
        script.Append("flush chain ").Append(Table).AppendLine(" exempt");
        List<string> rules = [];
        if (udpPorts.Count > 0)
        {
            rules.Add($"udp dport {ports} accept");
        }

        rules.Add("meta l4proto esp accept");

        // Behind the 8 bytes of ICMP stands the quoted header: bits 136 and 112 are its protocol, 224 (without options) and 384 the UDP source port.
        rules.Add("icmp type destination-unreachable @th,136,8 50 accept");
        rules.Add("icmpv6 type { destination-unreachable, packet-too-big } @th,112,8 50 accept");
        if (udpPorts.Count > 0)
        {
            rules.Add($"icmp type destination-unreachable @th,68,4 5 @th,136,8 17 @th,224,16 {ports} accept");
            rules.Add($"icmpv6 type {{ destination-unreachable, packet-too-big }} @th,112,8 17 @th,384,16 {ports} accept");
        }

        rules.Add(NeighborDiscovery);
        rules.Add("ip6 saddr fe80::/10 accept");
        foreach (string rule in rules)
        {
            script.Append("add rule ").Append(Table).Append(" exempt ").AppendLine(rule);
        }
    }

    /// <summary>Removes both tables, whether they are there or not.</summary>
    internal string Remove(bool arp)
    {
        string table = arp ? ArpTable : Table;
        return $"add table {table}\ndelete table {table}\n";
    }

    /// <summary>Reads <c>nft list counters table …</c>: the packets of each counter by name.</summary>
    internal static Dictionary<string, long> ParseCounters(string output)
    {
        Dictionary<string, long> counters = [];
        string? name = null;
        string[] words = output.Split([' ', '\t', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i + 1 < words.Length; i++)
        {
            if (words[i] == "counter")
            {
                name = words[i + 1];
            }
            else if (words[i] == "packets" && name is not null && long.TryParse(words[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out long packets))
            {
                counters[name] = packets;
            }
        }

        return counters;
    }
}
