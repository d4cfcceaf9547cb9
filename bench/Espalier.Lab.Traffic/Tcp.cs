using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>TCP streams at full speed, a thread each.</summary>
internal static class Tcp
{
    private const int BufferSize = 256 * 1024;

    /// <summary>Sends on <paramref name="streams"/> connections for <paramref name="seconds"/>.</summary>
    internal static TcpSent Send(IPAddress from, IPEndPoint to, int streams, double seconds)
    {
        var sockets = Enumerable.Range(0, streams).Select(_ => Connect(from, to)).ToArray();
        double start = Clock.Now;
        long[] bytes = Run(sockets, (socket, buffer, count) =>
        {
            while (Clock.Now - start < seconds)
            {
                count(socket.Send(buffer));
            }

            socket.Shutdown(SocketShutdown.Send);
        });
        return new TcpSent(bytes.Sum(), Clock.Now - start);
    }

    /// <summary>Receives <paramref name="streams"/> connections and counts what comes in the window, which begins <paramref name="warmUp"/> after the last connected.</summary>
    internal static TcpReceived Sink(Socket listener, int streams, double warmUp, double seconds)
    {
        var sockets = Enumerable.Range(0, streams).Select(_ => listener.Accept()).ToArray();
        long[] now = new long[streams];
        var receiving = Task.Factory.StartNew(
            () => Run(sockets, (socket, buffer, count) =>
            {
                int received;
                while ((received = socket.Receive(buffer)) > 0)
                {
                    count(received);
                }
            }, now),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        double start = Clock.Now + warmUp;
        Clock.SleepUntil(start);
        long[] before = [.. now.Select((_, i) => Volatile.Read(ref now[i]))];
        var processor = Processor.Read();
        double began = Clock.Now;
        Clock.SleepUntil(start + seconds);
        long[] bytes = [.. now.Select((_, i) => Volatile.Read(ref now[i]) - before[i])];
        var result = new TcpReceived(bytes.Sum(), Clock.Now - began, bytes, Processor.Read().Since(processor));
        receiving.Wait();
        return result;
    }

    private static Socket Connect(IPAddress from, IPEndPoint to)
    {
        var socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(from, 0));
        socket.Connect(to);
        return socket;
    }

    private static long[] Run(Socket[] sockets, Action<Socket, byte[], Action<int>> work, long[]? totals = null)
    {
        long[] bytes = totals ?? new long[sockets.Length];
        var threads = sockets.Select((socket, i) => new Thread(() =>
        {
            using (socket)
            {
                work(socket, new byte[BufferSize], count => Volatile.Write(ref bytes[i], bytes[i] + count));
            }
        })).ToArray();
        foreach (var thread in threads)
        {
            thread.Start();
        }

        foreach (var thread in threads)
        {
            thread.Join();
        }

        return bytes;
    }
}
