using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>One receiving socket of a shared port: what comes to <paramref name="Local"/> (unspecified: to any address) on one interface.</summary>
internal sealed record PortReceiver(PortDevice Device, InternetAddress Local, UdpEncapsulationSocket Socket);
