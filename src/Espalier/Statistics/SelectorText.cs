using System.Globalization;
using Espalier.Wire.Packets;

namespace Espalier.Statistics;

/// <summary>One side of a policy's selector, as swanctl writes it: <c>10.1.0.0/16</c>, <c>10.1.0.0/16[udp]</c>, <c>10.1.0.0/16[tcp/80]</c>.</summary>
internal static class SelectorText
{
    /// <summary>
    /// A prefix, protocol (0 = any) and port, or for ICMP type or code, under a mask (0 = any). A mask that names several ports is written out: <c>[tcp/0x1f00/0xff00]</c>.
    /// </summary>
    internal static string Side(string prefix, long protocol, long port, long mask)
    {
        string ports = mask switch
        {
            0 => "",
            ushort.MaxValue => string.Create(CultureInfo.InvariantCulture, $"/{port}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"/0x{port:x}/0x{mask:x}"),
        };
        return protocol == 0 && mask == 0 ? prefix : $"{prefix}[{Name(protocol)}{ports}]";
    }

    private static string Name(long protocol) => protocol switch
    {
        0 => "any",
        IpProtocol.Icmp => "icmp",
        IpProtocol.Tcp => "tcp",
        IpProtocol.Udp => "udp",
        IpProtocol.IcmpV6 => "ipv6-icmp",
        _ => protocol.ToString(CultureInfo.InvariantCulture),
    };
}
