using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>What one side of a UDP run saw. The sink also counts datagrams that came out of order or twice.</summary>
public sealed record UdpResult(long Packets, long Bytes, double Seconds, long Reordered);

/// <summary>Numbered UDP datagrams, paced or as fast as the sender can, and a sink that counts them.</summary>
public static class UdpTraffic
{
    /// <summary>Receive buffer asked for; the kernel may grant less.</summary>
    public const int SocketBuffer = 8 << 20;

    /// <summary>Largest burst the pacer sends to catch up.</summary>
    private const int Burst = 32;

    /// <summary>
    /// Sends datagrams of <paramref name="size"/> bytes (at least 8: a 64-bit number) for <paramref name="seconds"/>;
    /// <paramref name="packetsPerSecond"/> 0 = no pacing. Runs on the calling thread.
    /// </summary>
    public static UdpResult Send(IPAddress local, IPEndPoint remote, int size, double packetsPerSecond, double seconds)
    {
        using var socket = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.SendBufferSize = SocketBuffer;
        socket.Bind(new IPEndPoint(local, 0));
        socket.Connect(remote);

        byte[] datagram = new byte[Math.Max(size, sizeof(long))];
        long sent = 0;
        var clock = Stopwatch.StartNew();
        while (true)
        {
            double now = clock.Elapsed.TotalSeconds;
            if (now >= seconds)
            {
                return new UdpResult(sent, sent * datagram.Length, now, 0);
            }

            long due = packetsPerSecond > 0 ? Math.Min((long)(now * packetsPerSecond) - sent, Burst) : Burst;
            if (due <= 0)
            {
                Thread.Sleep(TimeSpan.FromMicroseconds(50));
                continue;
            }

            for (; due > 0; due--)
            {
                BinaryPrimitives.WriteInt64BigEndian(datagram, sent);
                socket.Send(datagram, SocketFlags.None, out var error);
                if (error is not (SocketError.Success or SocketError.NoBufferSpaceAvailable or SocketError.ConnectionRefused))
                {
                    throw new SocketException((int)error);
                }

                sent++;
            }
        }
    }

    /// <summary>Counts datagrams until <paramref name="cancellation"/>. Runs on the calling thread.</summary>
    public static UdpResult Receive(Socket socket, CancellationToken cancellation)
    {
        socket.ReceiveBufferSize = SocketBuffer;
        socket.ReceiveTimeout = 100;
        byte[] datagram = new byte[65536];
        long packets = 0, bytes = 0, reordered = 0, next = 0;
        var clock = Stopwatch.StartNew();
        double first = 0, last = 0;
        while (!cancellation.IsCancellationRequested)
        {
            int count = socket.Receive(datagram, 0, datagram.Length, SocketFlags.None, out var error);
            if (error != SocketError.Success || count < sizeof(long))
            {
                continue;
            }

            last = clock.Elapsed.TotalSeconds;
            first = packets == 0 ? last : first;
            long number = BinaryPrimitives.ReadInt64BigEndian(datagram);
            reordered += number < next ? 1 : 0;
            next = Math.Max(next, number + 1);
            packets++;
            bytes += count;
        }

        return new UdpResult(packets, bytes, last - first, reordered);
    }
}
