using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Wire.Addresses;

/// <summary>The IP version of an address or a packet.</summary>
public enum IpVersion : byte
{
    /// <summary>No address family: the all-zero value (AF_UNSPEC).</summary>
    None = 0,

    /// <summary>IPv4 (RFC 791).</summary>
    IPv4 = 4,

    /// <summary>IPv6 (RFC 8200).</summary>
    IPv6 = 6,
}

/// <summary>
/// An IPv4 or IPv6 address as a value: compared, hashed and masked without an allocation.
/// <see cref="Bits"/> holds the address as a number, the first byte on the wire most significant;
/// an IPv4 address takes the low 32 bits. The default value is <see cref="IpVersion.None"/>.
/// </summary>
public readonly record struct InternetAddress(IpVersion Version, UInt128 Bits)
{
    /// <summary>0.0.0.0.</summary>
    public static InternetAddress AnyIPv4 => new(IpVersion.IPv4, UInt128.Zero);

    /// <summary>::.</summary>
    public static InternetAddress AnyIPv6 => new(IpVersion.IPv6, UInt128.Zero);

    /// <summary>True for 0.0.0.0, :: and the default value.</summary>
    public bool IsUnspecified => Bits == UInt128.Zero;

    /// <summary>Number of bits of an address of this version: 32, 128, or 0.</summary>
    public int BitLength => BitLengthOf(Version);

    /// <summary>Number of bytes of an address of this version: 4, 16, or 0.</summary>
    public int ByteLength => BitLength / 8;

    /// <summary>Number of bits of an address of <paramref name="version"/>.</summary>
    public static int BitLengthOf(IpVersion version) => version switch
    {
        IpVersion.IPv4 => 32,
        IpVersion.IPv6 => 128,
        _ => 0,
    };

    /// <summary>Reads the four bytes of an IPv4 address in network byte order.</summary>
    public static InternetAddress ReadIPv4(ReadOnlySpan<byte> bytes) =>
        new(IpVersion.IPv4, BinaryPrimitives.ReadUInt32BigEndian(bytes));

    /// <summary>Reads the sixteen bytes of an IPv6 address in network byte order.</summary>
    public static InternetAddress ReadIPv6(ReadOnlySpan<byte> bytes) =>
        new(IpVersion.IPv6, BinaryPrimitives.ReadUInt128BigEndian(bytes));

    /// <summary>Reads an address of <paramref name="version"/> from the start of <paramref name="bytes"/>.</summary>
    public static InternetAddress Read(IpVersion version, ReadOnlySpan<byte> bytes) => version switch
    {
        IpVersion.IPv4 => ReadIPv4(bytes),
        IpVersion.IPv6 => ReadIPv6(bytes),
        _ => default,
    };

    /// <summary>Writes the address in network byte order and returns the number of bytes written: 4, 16 or 0.</summary>
    public int Write(Span<byte> destination)
    {
        switch (Version)
        {
            case IpVersion.IPv4:
                BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)Bits);
                return 4;
            case IpVersion.IPv6:
                BinaryPrimitives.WriteUInt128BigEndian(destination, Bits);
                return 16;
            default:
                return 0;
        }
    }

    /// <summary>Parses the usual text forms.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is no IP address.</exception>
    public static InternetAddress Parse(string text) => From(IPAddress.Parse(text));

    /// <summary>Converts from the platform's address; a scope id is dropped.</summary>
    public static InternetAddress From(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        return address.AddressFamily == AddressFamily.InterNetwork ? ReadIPv4(bytes) : ReadIPv6(bytes);
    }

    /// <summary>Converts to the platform's address; the default value gives <see cref="IPAddress.None"/>.</summary>
    public IPAddress ToIPAddress()
    {
        if (Version == IpVersion.None)
        {
            return IPAddress.None;
        }

        Span<byte> bytes = stackalloc byte[16];
        return new IPAddress(bytes[..Write(bytes)]);
    }

    /// <summary>The address with all but its first <paramref name="prefixLength"/> bits cleared.</summary>
    public InternetAddress Masked(int prefixLength) => new(Version, Bits & MaskOf(Version, prefixLength));

    /// <summary>The mask of a prefix as a number in the layout of <see cref="Bits"/>.</summary>
    public static UInt128 MaskOf(IpVersion version, int prefixLength)
    {
        int length = BitLengthOf(version);
        if (prefixLength <= 0)
        {
            return UInt128.Zero;
        }

        UInt128 all = length == 128 ? UInt128.MaxValue : (UInt128.One << length) - UInt128.One;
        return prefixLength >= length ? all : all & ~(all >> prefixLength);
    }

    /// <summary>Cheap, and not keyed: tables of addresses are filled by this host and its IKE daemon, not by packets.</summary>
    public override int GetHashCode()
    {
        const ulong Odd = 0x9E37_79B9_7F4A_7C15;
        ulong low = (ulong)Bits, high = (ulong)(Bits >> 64);
        return (int)((((high * Odd) ^ low) * Odd) >> 32);
    }

    /// <inheritdoc/>
    public override string ToString() => Version == IpVersion.None ? "any" : ToIPAddress().ToString();
}
