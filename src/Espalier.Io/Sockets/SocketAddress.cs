using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>Converts between our addresses and the kernel's sockaddr_in and sockaddr_in6.</summary>
internal static unsafe class SocketAddress
{
    /// <summary>Room for either kind.</summary>
    internal const int Capacity = 32;

    /// <summary>Writes an address; returns its length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Write(byte* at, InternetAddress address, ushort port, uint scope)
    {
        if (address.Version == IpVersion.IPv4)
        {
            var v4 = (sockaddr_in*)at;
            v4->sin_family = Socket.AF_INET;
            v4->sin_port = BigEndian(port);
            v4->sin_addr = BigEndian((uint)address.Bits);
            *(ulong*)v4->sin_zero = 0;
            return (uint)sizeof(sockaddr_in);
        }

        var v6 = (sockaddr_in6*)at;
        v6->sin6_family = Socket.AF_INET6;
        v6->sin6_port = BigEndian(port);
        v6->sin6_flowinfo = 0;
        BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(v6->sin6_addr, 16), address.Bits);
        v6->sin6_scope_id = scope;
        return (uint)sizeof(sockaddr_in6);
    }

    /// <summary>Reads an address of either family; another family gives the default value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static InternetAddress Read(byte* at, uint length, out ushort port)
    {
        if (length >= sizeof(sockaddr_in) && *(ushort*)at == Socket.AF_INET)
        {
            var v4 = (sockaddr_in*)at;
            port = BigEndian(v4->sin_port);
            return new InternetAddress(IpVersion.IPv4, BigEndian(v4->sin_addr));
        }

        if (length >= sizeof(sockaddr_in6) && *(ushort*)at == Socket.AF_INET6)
        {
            var v6 = (sockaddr_in6*)at;
            port = BigEndian(v6->sin6_port);
            return InternetAddress.ReadIPv6(new ReadOnlySpan<byte>(v6->sin6_addr, 16));
        }

        port = 0;
        return default;
    }

    /// <summary>Host to network byte order, and back.</summary>
    internal static ushort BigEndian(ushort value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    /// <summary>Host to network byte order, and back.</summary>
    internal static uint BigEndian(uint value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;
}
