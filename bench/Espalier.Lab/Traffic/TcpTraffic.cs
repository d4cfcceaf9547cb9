using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>What one side of a TCP transfer saw.</summary>
public sealed record TcpResult(long Bytes, double Seconds);

/// <summary>One TCP stream: a source that writes as fast as it can for a time, and a sink that counts.</summary>
public static class TcpTraffic
{
    private const int BufferSize = 256 * 1024;

    /// <summary>Accepts one connection and reads it to its end.</summary>
    public static async Task<TcpResult> SinkAsync(TcpListener listener, CancellationToken cancellation)
    {
        using var socket = await listener.AcceptSocketAsync(cancellation).ConfigureAwait(false);
        byte[] buffer = new byte[BufferSize];
        long bytes = 0;
        var clock = Stopwatch.StartNew();
        while (true)
        {
            int count = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return new TcpResult(bytes, clock.Elapsed.TotalSeconds);
            }

            bytes += count;
        }
    }

    /// <summary>Connects from <paramref name="local"/> and writes for <paramref name="seconds"/>.</summary>
    public static async Task<TcpResult> SourceAsync(IPAddress local, IPEndPoint remote, double seconds, CancellationToken cancellation)
    {
        using var socket = new Socket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(local, 0));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(10));
        await socket.ConnectAsync(remote, limit.Token).ConfigureAwait(false);

        byte[] buffer = new byte[BufferSize];
        Random.Shared.NextBytes(buffer);
        long bytes = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            bytes += await socket.SendAsync(buffer, SocketFlags.None, cancellation).ConfigureAwait(false);
        }

        double elapsed = clock.Elapsed.TotalSeconds;
        socket.Shutdown(SocketShutdown.Both);
        return new TcpResult(bytes, elapsed);
    }
}
