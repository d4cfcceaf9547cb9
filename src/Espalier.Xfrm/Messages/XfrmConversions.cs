using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>Between the structs of linux/xfrm.h and the value types of the SAD and SPD.</summary>
internal static class XfrmConversions
{
    /// <summary>Address family to version, None for any other number.</summary>
    public static IpVersion ToVersion(ushort family) => family switch
    {
        XfrmValue.FamilyIPv4 => IpVersion.IPv4,
        XfrmValue.FamilyIPv6 => IpVersion.IPv6,
        _ => IpVersion.None,
    };

    /// <summary>Version to address family.</summary>
    public static ushort ToFamily(IpVersion version) => version switch
    {
        IpVersion.IPv4 => XfrmValue.FamilyIPv4,
        IpVersion.IPv6 => XfrmValue.FamilyIPv6,
        _ => XfrmValue.FamilyUnspecified,
    };

    /// <summary>Reads an address of a family.</summary>
    public static InternetAddress ToAddress(in XfrmAddress address, IpVersion version) => InternetAddress.Read(version, Bytes(in address));

    /// <summary>Writes an address; the rest stays zero.</summary>
    public static XfrmAddress FromAddress(InternetAddress address)
    {
        XfrmAddress result = default;
        address.Write(MemoryMarshal.AsBytes((Span<uint>)result));
        return result;
    }

    /// <summary>The 16 bytes of an address as they are.</summary>
    public static ReadOnlySpan<byte> Bytes(in XfrmAddress address) => MemoryMarshal.AsBytes((ReadOnlySpan<uint>)address);

    /// <summary>Network to host byte order and back.</summary>
    public static ushort Swap(ushort value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>Network to host byte order and back.</summary>
    public static uint Swap(uint value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>Reads a selector of a known family; version None gives the default value, "no selector".</summary>
    public static TrafficSelector ToSelector(in XfrmSelector selector, IpVersion version) => version == IpVersion.None
        ? default
        : new TrafficSelector(
            new AddressPrefix(ToAddress(selector.SourceAddress, version), selector.SourcePrefixLength),
            new AddressPrefix(ToAddress(selector.DestinationAddress, version), selector.DestinationPrefixLength),
            selector.Protocol,
            Swap(selector.SourcePort),
            Swap(selector.SourcePortMask),
            Swap(selector.DestinationPort),
            Swap(selector.DestinationPortMask));

    /// <summary>Writes a selector in place.</summary>
    public static void FromSelector(in TrafficSelector selector, ref XfrmSelector result)
    {
        result.SourceAddress = FromAddress(selector.Source.Address);
        result.DestinationAddress = FromAddress(selector.Destination.Address);
        result.SourcePrefixLength = (byte)selector.Source.Length;
        result.DestinationPrefixLength = (byte)selector.Destination.Length;
        result.Protocol = selector.Protocol;
        result.SourcePort = Swap(selector.SourcePort);
        result.SourcePortMask = Swap(selector.SourcePortMask);
        result.DestinationPort = Swap(selector.DestinationPort);
        result.DestinationPortMask = Swap(selector.DestinationPortMask);
        result.Family = ToFamily(selector.Version);
    }

    /// <summary>Reads limits.</summary>
    public static LifetimeLimits ToLimits(in XfrmLifetimeConfiguration limits) => new(
        limits.SoftByteLimit, limits.HardByteLimit, limits.SoftPacketLimit, limits.HardPacketLimit,
        limits.SoftAddExpiresSeconds, limits.HardAddExpiresSeconds, limits.SoftUseExpiresSeconds, limits.HardUseExpiresSeconds);

    /// <summary>Writes limits in place.</summary>
    public static void FromLimits(in LifetimeLimits limits, ref XfrmLifetimeConfiguration result)
    {
        result.SoftByteLimit = limits.SoftBytes;
        result.HardByteLimit = limits.HardBytes;
        result.SoftPacketLimit = limits.SoftPackets;
        result.HardPacketLimit = limits.HardPackets;
        result.SoftAddExpiresSeconds = limits.SoftAddSeconds;
        result.HardAddExpiresSeconds = limits.HardAddSeconds;
        result.SoftUseExpiresSeconds = limits.SoftUseSeconds;
        result.HardUseExpiresSeconds = limits.HardUseSeconds;
    }

    /// <summary>Writes the use so far in place.</summary>
    public static void FromUsage(in LifetimeUsage usage, ref XfrmLifetimeCurrent result)
    {
        result.Bytes = usage.Bytes;
        result.Packets = usage.Packets;
        result.AddTime = usage.AddTime;
        result.UseTime = usage.UseTime;
    }
}
