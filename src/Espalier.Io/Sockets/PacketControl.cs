using System.Buffers.Binary;
using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.Sockets;

/// <summary>The control messages that go with a packet that is sent: its source address and its traffic class. Each moves <c>at</c> behind what it wrote.</summary>
internal static unsafe class PacketControl
{
    /// <summary>IP_PKTINFO, where the packet names its source, and IP_TOS.</summary>
    internal static void WriteIPv4(ref byte* at, in PacketSlot slot)
    {
        if (!slot.Local.IsUnspecified)
        {
            var information = (in_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IP, Ip.IP_PKTINFO, sizeof(in_pktinfo));
            *information = new in_pktinfo { ipi_spec_dst = SocketAddress.BigEndian((uint)slot.Local.Bits) };
        }

        *(int*)ControlMessages.Write(ref at, Ip.IPPROTO_IP, Ip.IP_TOS, sizeof(int)) = slot.TrafficClass;
    }

    /// <summary>IPV6_PKTINFO, where the packet names its source, with the interface of a link-local one (else 0), and IPV6_TCLASS.</summary>
    internal static void WriteIPv6(ref byte* at, in PacketSlot slot, uint scope)
    {
        if (!slot.Local.IsUnspecified)
        {
            var information = (in6_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IPV6, Ip.IPV6_PKTINFO, sizeof(in6_pktinfo));
            BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(information->ipi6_addr, 16), slot.Local.Bits);
            information->ipi6_ifindex = scope;
        }

        *(int*)ControlMessages.Write(ref at, Ip.IPPROTO_IPV6, Ip.IPV6_TCLASS, sizeof(int)) = slot.TrafficClass;
    }
}
