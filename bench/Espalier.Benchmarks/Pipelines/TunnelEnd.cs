using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>An end of the tunnel: outer address, inner network, and the SPI of the SA by which it receives.</summary>
internal sealed record TunnelEnd(InternetAddress Outer, AddressPrefix Inner, Spi Receives)
{
    internal static TunnelEnd Left { get; } = new(InternetAddress.Parse("192.0.2.1"), AddressPrefix.Parse("10.1.0.0/16"), new Spi(0x2000));

    internal static TunnelEnd Right { get; } = new(InternetAddress.Parse("192.0.2.2"), AddressPrefix.Parse("10.2.0.0/16"), new Spi(0x1000));

    /// <summary>All traffic from here to the other end.</summary>
    internal TrafficSelector To(TunnelEnd other) => new(Inner, other.Inner, 0, 0, 0, 0, 0);
}
