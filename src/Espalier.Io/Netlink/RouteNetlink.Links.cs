using System.Globalization;
using System.Runtime.InteropServices;
using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

public sealed partial class RouteNetlink
{
    private const int LinkHeaderLength = 16;

    /// <summary>The interface with this index.</summary>
    public LinkInfo GetLink(uint index) => GetLink(index, null);

    /// <summary>The interface with this name.</summary>
    public LinkInfo GetLink(string name) => GetLink(0, name);

    /// <summary>All interfaces.</summary>
    public IReadOnlyList<LinkInfo> GetLinks()
    {
        var writer = Start();
        writer.Begin(Rtnetlink.RTM_GETLINK, Nl.NLM_F_DUMP, LinkHeaderLength);
        writer.End();
        return _socket.Dump<LinkInfo>(writer, "list interfaces", TryParseLink);
    }

    /// <summary>Changes an interface.</summary>
    public void SetLink(uint index, LinkChange change)
    {
        var writer = Start();
        uint flags = (change.Up == true ? Rtnetlink.IFF_UP : 0) | (change.Multicast == true ? Rtnetlink.IFF_MULTICAST : 0);
        uint mask = (change.Up is null ? 0 : Rtnetlink.IFF_UP) | (change.Multicast is null ? 0 : Rtnetlink.IFF_MULTICAST);
        WriteLinkHeader(writer.Begin(Rtnetlink.RTM_NEWLINK, 0, LinkHeaderLength), index, flags, mask);
        if (change.Mtu is { } mtu)
        {
            writer.Attribute(Rtnetlink.IFLA_MTU, (uint)mtu);
        }

        if (change.TransmitQueueLength is { } length)
        {
            writer.Attribute(Rtnetlink.IFLA_TXQLEN, (uint)length);
        }

        if (change.NoGeneratedAddresses)
        {
            int specific = writer.BeginNested(Rtnetlink.IFLA_AF_SPEC);
            int inet6 = writer.BeginNested(Socket.AF_INET6);
            writer.Attribute(Rtnetlink.IFLA_INET6_ADDR_GEN_MODE, Rtnetlink.IN6_ADDR_GEN_MODE_NONE);
            writer.EndNested(inet6);
            writer.EndNested(specific);
        }

        writer.End();
        _socket.Request(writer, $"change interface {index}");
    }

    /// <summary>
    /// Makes a pair of virtual Ethernet interfaces, both down. The second one is made in the network namespace behind
    /// <paramref name="peerNamespace"/> (an open /proc/PID/ns/net), or here where that is null.
    /// </summary>
    public void AddVethPair(string name, string peerName, SafeDescriptor? peerNamespace = null, int? mtu = null)
    {
        var writer = Start();
        writer.Begin(Rtnetlink.RTM_NEWLINK, Nl.NLM_F_CREATE | Nl.NLM_F_EXCL, LinkHeaderLength);
        WriteNameAndMtu(writer, name, mtu);
        int info = writer.BeginNested(Rtnetlink.IFLA_LINKINFO);
        writer.Attribute(Rtnetlink.IFLA_INFO_KIND, "veth");
        int data = writer.BeginNested(Rtnetlink.IFLA_INFO_DATA);
        int peer = writer.BeginNested(Rtnetlink.VETH_INFO_PEER);
        _ = writer.Raw(LinkHeaderLength);
        WriteNameAndMtu(writer, peerName, mtu);
        if (peerNamespace is not null)
        {
            writer.Attribute(Rtnetlink.IFLA_NET_NS_FD, (uint)peerNamespace.Number);
        }

        writer.EndNested(peer);
        writer.EndNested(data);
        writer.EndNested(info);
        writer.End();
        _socket.Request(writer, $"make the interfaces {name} and {peerName}");
    }

    private LinkInfo GetLink(uint index, string? name)
    {
        var writer = Start();
        WriteLinkHeader(writer.Begin(Rtnetlink.RTM_GETLINK, 0, LinkHeaderLength), index, 0, 0);
        if (name is not null)
        {
            writer.Attribute(Rtnetlink.IFLA_IFNAME, name);
        }

        writer.End();
        LinkInfo link = default;
        string operation = $"look up interface {name ?? index.ToString(CultureInfo.InvariantCulture)}";
        _socket.Request(writer, operation, (in NetlinkMessage message) =>
        {
            if (TryParseLink(message, out var found))
            {
                link = found;
            }
        });
        return link.Index != 0 ? link : throw new NetlinkException(operation, Errno.ENODEV, null);
    }

    private static void WriteNameAndMtu(NetlinkWriter writer, string name, int? mtu)
    {
        writer.Attribute(Rtnetlink.IFLA_IFNAME, name);
        if (mtu is { } value)
        {
            writer.Attribute(Rtnetlink.IFLA_MTU, (uint)value);
        }
    }

    /// <summary>struct ifinfomsg: family, pad, type (16 bits), index, flags, change.</summary>
    private static void WriteLinkHeader(Span<byte> header, uint index, uint flags, uint change)
    {
        MemoryMarshal.Write(header[4..], index);
        MemoryMarshal.Write(header[8..], flags);
        MemoryMarshal.Write(header[12..], change);
    }

    private static bool TryParseLink(in NetlinkMessage message, out LinkInfo link)
    {
        link = default;
        if (message.Type != Rtnetlink.RTM_NEWLINK || message.Payload.Length < LinkHeaderLength)
        {
            return false;
        }

        string name = "";
        uint mtu = 0, queue = 0;
        var attributes = message.AttributesAfter(LinkHeaderLength);
        while (attributes.TryNext(out var attribute))
        {
            switch (attribute.Type)
            {
                case Rtnetlink.IFLA_IFNAME:
                    name = attribute.Text;
                    break;
                case Rtnetlink.IFLA_MTU:
                    mtu = attribute.UInt32;
                    break;
                case Rtnetlink.IFLA_TXQLEN:
                    queue = attribute.UInt32;
                    break;
            }
        }

        link = new LinkInfo(MemoryMarshal.Read<uint>(message.Payload[4..]), name, MemoryMarshal.Read<uint>(message.Payload[8..]), (int)mtu, (int)queue);
        return true;
    }
}
