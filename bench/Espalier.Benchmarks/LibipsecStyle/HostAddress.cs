using Espalier.Wire.Addresses;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>libstrongswan's host_t: an address and port as an object on the heap, cloned where another object keeps it.</summary>
internal sealed class HostAddress(InternetAddress address, ushort port)
{
    internal InternetAddress Address { get; } = address;

    internal ushort Port { get; } = port;

    internal HostAddress Clone() => new(Address, Port);
}
