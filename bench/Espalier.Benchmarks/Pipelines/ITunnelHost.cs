using Espalier.Io.InMemory;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>One end of a tunnel over devices in memory. Both designs do the same work on the same devices with the same crypto engine.</summary>
internal interface ITunnelHost : IDisposable
{
    MemoryTunnelDevice Tunnel { get; }

    /// <summary>Starts on what waits in the TUN. It may go on after the return.</summary>
    void RunOutbound();

    /// <summary>Starts on what waits in the socket. It may go on after the return.</summary>
    void RunInbound();

    /// <summary>Empties the replay window, so that the same packets can be received again.</summary>
    void ForgetReceived();
}

/// <summary>Where a host stands: its address, its peer's, and its end of the sockets.</summary>
internal sealed record HostPlace(TunnelEnd Own, TunnelEnd Other, MemoryOuterSocket Socket, MemoryOuterSocket Peer)
{
    internal const ushort Port = 4500;

    internal static byte[] Key { get; } = [.. Enumerable.Range(1, 20).Select(i => (byte)i)];

    /// <summary>Two places back to back.</summary>
    internal static (HostPlace Left, HostPlace Right) CreatePair()
    {
        var (left, right) = (TunnelEnd.Left, TunnelEnd.Right);
        var (a, b) = MemoryOuterSocket.CreatePair(left.Outer, Port, right.Outer, Port);
        return (new HostPlace(left, right, a, b), new HostPlace(right, left, b, a));
    }
}
