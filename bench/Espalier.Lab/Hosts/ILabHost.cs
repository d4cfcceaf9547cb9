using System.Text.Json.Nodes;
using Espalier.Lab.Traffic;

namespace Espalier.Lab.Hosts;

/// <summary>One SA as both hosts install it.</summary>
public sealed record LabAssociation(string Source, string Destination, uint Spi, uint ReqId, string KeyHex, bool UdpEncapsulated);

/// <summary>One policy as a host installs it; direction is in, out or fwd.</summary>
public sealed record LabPolicy(string Source, string Destination, string Direction, string TunnelSource, string TunnelDestination, uint ReqId);

/// <summary>
/// A host of the lab: a network namespace with a daemon in it. The host of the calling process is called directly,
/// the other one over the standard streams of an agent process.
/// </summary>
public interface ILabHost
{
    /// <summary>Process id of whoever holds the namespace.</summary>
    Task<int> ProcessIdAsync();

    /// <summary>Brings lo and <paramref name="link"/> up, with an outer address on the link and an inner one on lo.</summary>
    Task ConfigureAsync(string link, string outerPrefix, string innerPrefix);

    /// <summary>Starts the daemon and waits until it is ready; returns its process id.</summary>
    Task<int> StartDaemonAsync(string[] command, string controlPath);

    /// <summary>Ends the daemon by SIGTERM and returns its exit code.</summary>
    Task<int> StopDaemonAsync();

    /// <summary>Installs SAs and policies through the control socket.</summary>
    Task KeyAsync(LabAssociation[] associations, LabPolicy[] policies);

    /// <summary>The daemon's counters, as `espalier stat --json` prints them.</summary>
    Task<JsonObject> StatAsync();

    /// <summary>The daemon's resident memory now.</summary>
    Task<ProcessMemory> MemoryAsync();

    /// <summary>Listens for one TCP stream; the port is returned at once, the result by <see cref="TcpSinkResultAsync"/>.</summary>
    Task<int> StartTcpSinkAsync(string address);

    /// <summary>Waits for the stream's end.</summary>
    Task<TcpResult> TcpSinkResultAsync();

    /// <summary>Sends one TCP stream.</summary>
    Task<TcpResult> TcpSourceAsync(string local, string remote, int port, double seconds);

    /// <summary>Starts to count datagrams; returns the port.</summary>
    Task<int> StartUdpSinkAsync(string address);

    /// <summary>Ends the count.</summary>
    Task<UdpResult> UdpSinkResultAsync();

    /// <summary>Sends datagrams.</summary>
    Task<UdpResult> UdpSourceAsync(string local, string remote, int port, int size, double packetsPerSecond, double seconds);

    /// <summary>Round-trip times of UDP echoes in microseconds; lost ones are missing.</summary>
    Task<double[]> EchoAsync(string local, string remote, int port, int count);

    /// <summary>Answers datagrams until the host ends; returns the port.</summary>
    Task<int> StartEchoServerAsync(string address);
}
