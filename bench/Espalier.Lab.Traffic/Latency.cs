using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>Round trips of UDP datagrams on a fixed schedule.</summary>
internal static class Latency
{
    private const double Grace = 1.0;

    /// <summary>Sends back what comes, until <paramref name="ended"/>.</summary>
    internal static void Echo(Socket socket, CancellationToken ended)
    {
        socket.ReceiveTimeout = 100;
        byte[] datagram = new byte[2048];
        EndPoint peer = new IPEndPoint(socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        while (!ended.IsCancellationRequested)
        {
            if (socket.Poll(100_000, SelectMode.SelectRead))
            {
                int length = socket.ReceiveFrom(datagram, ref peer);
                socket.SendTo(datagram.AsSpan(0, length), peer);
            }
        }
    }

    /// <summary>
    /// Sends <paramref name="count"/> datagrams, one each <paramref name="interval"/> seconds whatever comes back, and times each from the moment
    /// it was scheduled for: a sender that is held up counts, as it would for a user. What is not back a second after the last is lost.
    /// </summary>
    internal static Probed Probe(IPAddress from, IPEndPoint to, int size, int count, double interval)
    {
        using var socket = Udp.Open(from);
        socket.Connect(to);
        socket.ReceiveTimeout = 100;
        var times = new double?[count];
        double start = Clock.Now + interval;
        var receiving = new Thread(() => Receive(socket, times, start, interval));
        receiving.Start();
        byte[] datagram = new byte[size];
        for (int i = 0; i < count; i++)
        {
            Clock.SleepUntil(start + (i * interval));
            BinaryPrimitives.WriteInt64BigEndian(datagram, i);
            socket.Send(datagram, SocketFlags.None, out _); // refused is lost
        }

        receiving.Join();
        return new Probed(times);
    }

    private static void Receive(Socket socket, double?[] times, double start, double interval)
    {
        byte[] datagram = new byte[2048];
        double end = start + (times.Length * interval) + Grace;
        int missing = times.Length;
        while (missing > 0 && Clock.Now < end)
        {
            int length = socket.Receive(datagram, SocketFlags.None, out var error);
            double now = Clock.Now;
            if (error == SocketError.Success && length >= sizeof(long) && BinaryPrimitives.ReadInt64BigEndian(datagram) is var i && times[i] is null)
            {
                times[i] = (now - start - (i * interval)) * 1e6;
                missing--;
            }
        }
    }
}
