using System.Text.Json.Serialization;

namespace Espalier.Lab.Traffic;

/// <summary>First line of everything that listens.</summary>
internal sealed record Listening(int Port);

/// <summary>Clock ticks of /proc/stat: all processors, all processes.</summary>
internal sealed record ProcessorTicks(long Busy, long SoftIrq, long Total);

/// <summary>What a paced or unpaced sender did. Scheduled is 0 without pacing.</summary>
internal sealed record UdpSent(long Packets, long Scheduled, double Seconds);

/// <summary>What a sink saw: in all, and within the window; Overflows is what its own socket queue dropped.</summary>
internal sealed record UdpReceived(long Packets, long Bytes, long Reordered, long Overflows, long WindowPackets, double WindowSeconds, ProcessorTicks Processor);

/// <summary>What TCP streams brought within the window.</summary>
internal sealed record TcpReceived(long Bytes, double Seconds, long[] BytesByStream, ProcessorTicks Processor);

/// <summary>What TCP streams took in all.</summary>
internal sealed record TcpSent(long Bytes, double Seconds);

/// <summary>Round trips in microseconds, by probe, from the scheduled moment; null = lost.</summary>
internal sealed record Probed(double?[] Microseconds);

/// <summary>
/// How late a thread with a period of 1 ms was woken, in microseconds; how long it took to start a program, in milliseconds; and a byte to another thread
/// and back over TCP on loopback, as a key pressed in a remote shell, in microseconds from the moment it was due.
/// </summary>
internal sealed record Bystander(double P50, double P99, double Maximum, double[] WorstByTenth, double[] ProgramMilliseconds, double[] RoundTripMicroseconds)
{
    /// <summary>The smallest of sorted values that at least so many in a hundred of all do not exceed.</summary>
    internal static double NearestRank(double[] sorted, int percent) => sorted[(((sorted.Length * percent) + 99) / 100) - 1];

    /// <summary>The worst delay, in microseconds, in each tenth of a second: a long one is in all tenths from the moment, in seconds, when it began.</summary>
    internal static double[] Tenths(IReadOnlyList<double> moments, IReadOnlyList<double> delays, double seconds)
    {
        double[] worst = new double[Math.Max(1, (int)Math.Ceiling(seconds * 10))];
        for (int i = 0; i < moments.Count; i++)
        {
            int last = Math.Min(worst.Length - 1, (int)((moments[i] + (delays[i] / 1e6)) * 10));
            for (int tenth = (int)(moments[i] * 10); tenth <= last; tenth++)
            {
                worst[tenth] = Math.Max(worst[tenth], delays[i]);
            }
        }

        return worst;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Listening))]
[JsonSerializable(typeof(UdpSent))]
[JsonSerializable(typeof(UdpReceived))]
[JsonSerializable(typeof(TcpReceived))]
[JsonSerializable(typeof(TcpSent))]
[JsonSerializable(typeof(Probed))]
[JsonSerializable(typeof(Bystander))]
internal sealed partial class ResultJson : JsonSerializerContext;
