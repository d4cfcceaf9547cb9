using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Espalier.Io.Batches;
using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.Quick;
using Espalier.Lab.Traffic;
using Espalier.Wire.Packets;

namespace Espalier.Lab.InProcess;

/// <summary>
/// The tour without TUN and namespaces: two hosts in this process, the daemon's own workers and pipelines, AES-128-GCM in UDP on loopback.
/// There is no kernel's IP inside, so packets are made and counted here, and there is no TCP.
/// <code>
///  source ─▶ socket pair ─ moon's workers ═ UDP 127.0.0.1 → 127.0.0.2 ═ sun's workers ─ socket pair ─▶ sink      and back
/// </code>
/// </summary>
internal static class InProcessTour
{
    private static readonly (string Name, bool Forth, int Size, double Rate)[] Loads =
    [
        ("UDP 1,300 B, 5,000/s", true, 1300, 5000), ("UDP 1,300 B, 5,000/s", false, 1300, 5000),
        ("UDP 64 B, 10,000/s", true, 64, 10000), ("UDP 64 B, flood", true, 64, 0),
    ];

    private const double CompileSeconds = 1, AfterLoadSeconds = 0.3;

    /// <summary>About how long it takes.</summary>
    public static double EstimateSeconds(double seconds) => CompileSeconds + (Loads.Length * (seconds + AfterLoadSeconds));

    /// <summary>Runs it.</summary>
    public static async Task<QuickFindings> RunAsync(double seconds, LabProgress progress)
    {
        using var moon = new LoopbackHost("127.0.0.1", "10.1.0.1", FreePort("127.0.0.1"));
        using var sun = new LoopbackHost("127.0.0.2", "10.2.0.1", FreePort("127.0.0.2"));
        Key(moon, sun, 0x10000001);
        Key(sun, moon, 0x10000002);

        progress.Next("making two hosts", CompileSeconds);

        // So that everything is compiled and touched.
        await LoadAsync(moon, sun, 1300, 5000, 0.2).ConfigureAwait(false);
        await LoadAsync(sun, moon, 1300, 5000, 0.2).ConfigureAwait(false);
        var before = ProcessMemory.Read(Environment.ProcessId)!;
        var loads = new List<QuickLoad>();
        foreach (var (name, forth, size, rate) in Loads)
        {
            progress.Next($"{name}, {(forth ? "moon → sun" : "sun → moon")}", seconds + AfterLoadSeconds);
            var (sent, received) = await LoadAsync(forth ? moon : sun, forth ? sun : moon, size, rate, seconds).ConfigureAwait(false);
            loads.Add(QuickLoad.Of(name, forth ? "moon → sun" : "sun → moon", sent, received));
        }

        progress.End();
        var after = ProcessMemory.Read(Environment.ProcessId)!;
        return new QuickFindings(
            "in one process, over socket pairs and UDP on loopback, AES-128-GCM; memory is that of the whole process",
            loads, [], 0, [new("moon", before, after, moon.Stat()), new("sun", before, after, sun.Stat())]);
    }

    private static void Key(LoopbackHost from, LoopbackHost to, uint spi)
    {
        byte[] key = RandomNumberGenerator.GetBytes(20); // AES-128 and the 32-bit salt
        from.Key(from, to, spi, key);
        to.Key(from, to, spi, key);
    }

    private static async Task<(UdpResult Sent, UdpResult Received)> LoadAsync(LoopbackHost from, LoopbackHost to, int size, double rate, double seconds)
    {
        using var end = new CancellationTokenSource();
        var sink = Task.Factory.StartNew(() => Count(to, end.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var sent = await Task.Factory.StartNew(
            () => Send(from, to, size, rate, seconds), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        await Task.Delay(TimeSpan.FromSeconds(AfterLoadSeconds)).ConfigureAwait(false);
        await end.CancelAsync().ConfigureAwait(false);
        return (sent, await sink.ConfigureAwait(false));
    }

    private static UdpResult Send(LoopbackHost from, LoopbackHost to, int size, double rate, double seconds)
    {
        byte[] packet = new byte[20 + UdpDatagram.HeaderLength + size];
        int header = PacketWriter.WriteIp(packet, from.Inner, to.Inner, IpProtocol.Udp, packet.Length - 20);
        PacketWriter.WriteUdp(packet.AsSpan(header), from.Inner, to.Inner, 40000, 40001);
        long sent = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed.TotalSeconds is var now && now < seconds)
        {
            bool due = rate <= 0 || sent < (long)(now * rate);
            if (due && from.Application.Send(packet) == 0)
            {
                sent++;
            }
            else
            {
                Thread.Sleep(TimeSpan.FromMicroseconds(50)); // not due yet, or the device's queue is full
            }
        }

        return new UdpResult(sent, sent * size, clock.Elapsed.TotalSeconds, 0);
    }

    private static UdpResult Count(LoopbackHost host, CancellationToken end)
    {
        var batch = new PacketBatch(32, 10_240, 128);
        long packets = 0, bytes = 0;
        var clock = Stopwatch.StartNew();
        while (!end.IsCancellationRequested)
        {
            int count = host.Application.Receive(batch);
            for (int i = 0; i < count; i++)
            {
                packets++;
                bytes += batch[i].Length - 20 - UdpDatagram.HeaderLength;
            }

            if (count == 0)
            {
                Thread.Sleep(TimeSpan.FromMicroseconds(50));
            }
        }

        return new UdpResult(packets, bytes, clock.Elapsed.TotalSeconds, 0);
    }

    private static ushort FreePort(string address)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
        return (ushort)((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
