using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Espalier.Lab.Traffic;

/// <summary>
/// What a bystander on the host feels: how late it is woken, how long it takes to start a program, as a login would, and how long a key pressed in a
/// remote shell takes to come back.
/// </summary>
internal static class Watch
{
    private const double Period = 1e-3, KeyPeriod = 10e-3;

    /// <summary>Watches for <paramref name="seconds"/>.</summary>
    internal static Bystander Run(double seconds)
    {
        var programs = new List<double>();
        double begin = Clock.Now, end = begin + seconds;
        var starter = new Thread(() => StartPrograms(programs, end));
        starter.Start();
        var roundTrips = new List<double>();
        var typist = new Thread(() => Type(roundTrips, end));
        typist.Start();
        var late = new List<double>();
        var moments = new List<double>();
        double due = Clock.Now + Period;
        while (due < end)
        {
            Clock.SleepUntil(due);
            double now = Clock.Now;
            late.Add((now - due) * 1e6);
            moments.Add(due - begin);
            due = Math.Max(due + Period, now); // ticks slept through are one delay, not many
        }

        starter.Join();
        typist.Join();
        double[] sorted = [.. late.Order()];
        return new Bystander(
            Bystander.NearestRank(sorted, 50), Bystander.NearestRank(sorted, 99), sorted[^1], Bystander.Tenths(moments, late, seconds), [.. programs], [.. roundTrips]);
    }

    private static void Type(List<double> microseconds, double end)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        var shell = new Thread(() => Echo(listener));
        shell.Start();
        using (var keyboard = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true })
        {
            keyboard.Connect(listener.LocalEndPoint!);
            byte[] key = new byte[1];
            for (double due = Clock.Now + KeyPeriod; due < end; due = Math.Max(due + KeyPeriod, Clock.Now))
            {
                Clock.SleepUntil(due);
                keyboard.Send(key);
                keyboard.Receive(key);
                microseconds.Add((Clock.Now - due) * 1e6);
            }
        }

        shell.Join();
    }

    private static void Echo(Socket listener)
    {
        using var shell = listener.Accept();
        shell.NoDelay = true;
        byte[] key = new byte[1];
        while (shell.Receive(key) > 0)
        {
            shell.Send(key);
        }
    }

    private static void StartPrograms(List<double> milliseconds, double end)
    {
        while (Clock.Now < end)
        {
            double start = Clock.Now;
            using (var process = Process.Start("/bin/true"))
            {
                process.WaitForExit();
            }

            milliseconds.Add((Clock.Now - start) * 1e3);
            Thread.Sleep(100);
        }
    }
}
