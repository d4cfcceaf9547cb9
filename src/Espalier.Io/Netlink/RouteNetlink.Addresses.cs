using System.Runtime.InteropServices;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

public sealed partial class RouteNetlink
{
    private const int AddressHeaderLength = 8;

    /// <summary>All addresses of all interfaces, in the kernel's order.</summary>
    public IReadOnlyList<InterfaceAddress> GetAddresses()
    {
        var writer = Start();
        writer.Begin(Rtnetlink.RTM_GETADDR, Nl.NLM_F_DUMP, AddressHeaderLength);
        writer.End();
        return _socket.Dump<InterfaceAddress>(writer, "list addresses", TryParseAddress);
    }

    /// <summary>Gives an interface an address; IPv6 without duplicate address detection.</summary>
    public void AddAddress(uint interfaceIndex, AddressPrefix address)
    {
        var writer = Start();
        var header = writer.Begin(Rtnetlink.RTM_NEWADDR, Nl.NLM_F_CREATE | Nl.NLM_F_EXCL, AddressHeaderLength);
        header[0] = FamilyOf(address.Version);
        header[1] = (byte)address.Length;
        header[2] = (byte)(address.Version == IpVersion.IPv6 ? Rtnetlink.IFA_F_NODAD : 0);
        MemoryMarshal.Write(header[4..], interfaceIndex);
        writer.Attribute(Rtnetlink.IFA_LOCAL, address.Address);
        writer.Attribute(Rtnetlink.IFA_ADDRESS, address.Address);
        writer.End();
        _socket.Request(writer, $"add address {address}");
    }

    /// <summary>
    /// Reads struct ifaddrmsg (family, prefix length, flags, scope, index). IFA_LOCAL is the host's own address where the link is
    /// point-to-point; IFA_ADDRESS is its peer's there, and the host's own elsewhere.
    /// </summary>
    private static bool TryParseAddress(in NetlinkMessage message, out InterfaceAddress address)
    {
        address = default;
        if (message.Type != Rtnetlink.RTM_NEWADDR || message.Payload.Length < AddressHeaderLength)
        {
            return false;
        }

        var header = message.Payload;
        var version = VersionOf(header[0]);
        uint flags = header[2];
        InternetAddress local = default, other = default;
        var attributes = message.AttributesAfter(AddressHeaderLength);
        while (attributes.TryNext(out var attribute))
        {
            switch (attribute.Type)
            {
                case Rtnetlink.IFA_LOCAL:
                    local = attribute.Address(version);
                    break;
                case Rtnetlink.IFA_ADDRESS:
                    other = attribute.Address(version);
                    break;
                case Rtnetlink.IFA_FLAGS:
                    flags = attribute.UInt32;
                    break;
            }
        }

        var own = local.Version == IpVersion.None ? other : local;
        address = new InterfaceAddress(MemoryMarshal.Read<uint>(header[4..]), new AddressPrefix(own, header[1]), header[3], flags);
        return own.Version != IpVersion.None;
    }
}
