using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>Numbered UDP datagrams, paced or as fast as the sender can, and a sink that counts them. sendmmsg and recvmmsg, never GSO.</summary>
internal static class Udp
{
    /// <summary>Buffers asked for by sender and sink; both may exceed the system's limit (SO_…BUFFORCE).</summary>
    internal const int SocketBuffer = 8 << 20;

    private const int SOL_SOCKET = 1, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33;
    private const double Nap = 50e-6;

    /// <summary>Datagrams a call at most when paced, so that catching up is no flood.</summary>
    private const int Burst = 32;

    /// <summary>Sends for <paramref name="seconds"/> at <paramref name="rate"/> datagrams a second; 0 = as fast as it can.</summary>
    internal static UdpSent Send(IPAddress from, IPEndPoint to, int size, double rate, double seconds)
    {
        using var socket = Open(from, SO_SNDBUFFORCE);
        socket.Connect(to);
        var batch = new MessageBatch(size);
        long sent = 0, scheduled = (long)(rate * seconds);
        double start = Clock.Now;
        while (true)
        {
            double elapsed = Clock.Now - start;
            if (elapsed >= seconds || (rate > 0 && sent >= scheduled))
            {
                return new UdpSent(sent, scheduled, elapsed);
            }

            long due = rate > 0 ? Math.Min((long)(elapsed * rate) - sent, Burst) : MessageBatch.Count;
            if (due <= 0)
            {
                Clock.SleepUntil(start + Math.Max((sent + 1) / rate, elapsed + Nap));
                continue;
            }

            for (int i = 0; i < due; i++)
            {
                BinaryPrimitives.WriteInt64BigEndian(batch[i], sent + i);
            }

            sent += batch.Send(socket, (int)due);
        }
    }

    /// <summary>
    /// Counts until <paramref name="ended"/>, or until all that were <paramref name="sent"/> are there and the window has passed. The window of
    /// <paramref name="seconds"/> begins <paramref name="warmUp"/> after the first datagram.
    /// </summary>
    internal static UdpReceived Sink(Socket socket, double warmUp, double seconds, Func<long> sent, CancellationToken ended)
    {
        socket.ReceiveTimeout = 20;
        var batch = new MessageBatch(2048);
        long packets = 0, bytes = 0, reordered = 0, next = 0, atStart = 0, inWindow = 0;
        double start = double.PositiveInfinity, windowed = 0;
        ProcessorTicks before = Processor.Read(), processor = new(0, 0, 0);
        bool measuring = false, measured = false;
        while (!ended.IsCancellationRequested && !(measured && packets >= sent()))
        {
            int count = batch.Receive(socket);
            double now = Clock.Now;
            start = packets == 0 && count > 0 ? now + warmUp : start;
            if (!measuring && now >= start)
            {
                (measuring, before, atStart) = (true, Processor.Read(), packets);
            }

            if (measuring && !measured && now >= start + seconds)
            {
                (measured, processor, inWindow, windowed) = (true, Processor.Read().Since(before), packets - atStart, now - start);
            }

            for (int i = 0; i < count; i++)
            {
                long number = BinaryPrimitives.ReadInt64BigEndian(batch[i]);
                reordered += number < next ? 1 : 0;
                next = Math.Max(next, number + 1);
                bytes += batch.Length(i);
            }

            packets += count;
        }

        return new UdpReceived(packets, bytes, reordered, Overflows(socket), inWindow, windowed, processor);
    }

    /// <summary>A socket with a large buffer.</summary>
    internal static Socket Open(IPAddress at, int bufferOption = SO_RCVBUFFORCE)
    {
        var socket = new Socket(at.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.SetRawSocketOption(SOL_SOCKET, bufferOption, BitConverter.GetBytes(SocketBuffer));
        socket.Bind(new IPEndPoint(at, 0));
        return socket;
    }

    // The last column of /proc/net/udp: datagrams that the socket's full queue refused.
    private static long Overflows(Socket socket)
    {
        string file = socket.AddressFamily == AddressFamily.InterNetwork ? "/proc/net/udp" : "/proc/net/udp6";
        string port = $":{((IPEndPoint)socket.LocalEndPoint!).Port:X4}";
        return File.ReadLines(file).Skip(1)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(fields => fields[1].EndsWith(port, StringComparison.Ordinal))
            .Sum(fields => long.Parse(fields[^1], CultureInfo.InvariantCulture));
    }
}
