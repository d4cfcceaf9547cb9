using Espalier.Lab.Measuring;
using Espalier.Lab.Net;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>What a packet costs in allocations, counted on the live daemons while nothing is timed, and memory against offered load.</summary>
internal sealed class BufferingExperiment : Experiment
{
    private const double Rate = 5000;
    private const int Size = 1300, LargestHeaders = 160;
    private static readonly double[] _rates = [1_000, 10_000, 40_000, 80_000, 160_000];

    /// <inheritdoc/>
    public override string Name => "buffering";

    /// <inheritdoc/>
    public override string Claim => "C1";

    /// <inheritdoc/>
    public override string Sentence => "It buffers each packet in memory.";

    /// <inheritdoc/>
    public override string Description => "allocations and copies a packet, counted by uprobes on the live daemons at 5,000 packets a second; resident memory against offered load";

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 3 : 1;

    /// <inheritdoc/>
    public override bool Applies(Subject subject) => subject.HasProcesses;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => (subject.UsesCLibrary ? 12 + (4 * settings.Seconds) : 0) + (_rates.Length * (settings.Seconds + 1.5));

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        if (AllocationProbe.WhatIsMissing() is { } missing)
        {
            trial.Fail($"allocations are not counted: {missing}");
        }
        else if (trial.Subject.UsesCLibrary)
        {
            await CountAsync(trial, trial.Bed.Moon, "outbound", cancellation).ConfigureAwait(false);
            await CountAsync(trial, trial.Bed.Sun, "inbound", cancellation).ConfigureAwait(false);
        }

        await MemoryAsync(trial).ConfigureAwait(false);
    }

    private static async Task CountAsync(Trial trial, NetHost host, string direction, CancellationToken cancellation)
    {
        int process = trial.Subject.ProcessId(host) ?? throw new Hosts.LabException("a daemon has ended");
        double seconds = Math.Max(1, trial.Settings.Seconds);
        await using var probe = await AllocationProbe.StartAsync(process, cancellation).ConfigureAwait(false);
        long idle = await probe.CountAsync(process, 1, cancellation).ConfigureAwait(false);
        long? managed = await ManagedAsync(trial, host, cancellation).ConfigureAwait(false);
        var load = trial.Loads.UdpAsync(Size, Rate, seconds + 1.5);
        await Task.Delay(TimeSpan.FromSeconds(0.7), cancellation).ConfigureAwait(false);
        long calls = await probe.CountAsync(process, seconds, cancellation).ConfigureAwait(false);
        var done = await load.ConfigureAwait(false);
        double packets = Rate * seconds;
        trial.Record(
            $"{direction}, allocator calls", "1/packet", Math.Max(0, calls - (idle * seconds)) / packets, ("rate", Rate), ("payloadBytes", Size),
            ("method", "uprobes on malloc, calloc and realloc of the C library"), ("idleCallsPerSecond", idle));
        if (managed is { } before && await ManagedAsync(trial, host, cancellation).ConfigureAwait(false) is { } after)
        {
            trial.Record($"{direction}, managed bytes", "B/packet", Math.Max(0, after - before) / (double)done.Sent.Packets, ("method", "espalier stat: runtime.allocatedBytes less allocatedForStatistics"));
        }

        await CopiesAsync(trial, probe, process, direction, cancellation).ConfigureAwait(false);
    }

    private static async Task CopiesAsync(Trial trial, AllocationProbe probe, int process, string direction, CancellationToken cancellation)
    {
        double seconds = Math.Max(1, trial.Settings.Seconds);
        var load = trial.Loads.UdpAsync(Size, Rate, seconds + 1.5);
        await Task.Delay(TimeSpan.FromSeconds(0.7), cancellation).ConfigureAwait(false);
        long? copies = await probe.CountCopiesAsync(process, seconds, Size, Size + LargestHeaders, cancellation).ConfigureAwait(false);
        await load.ConfigureAwait(false);
        if (copies is { } counted)
        {
            trial.Record(
                $"{direction}, copies by the C library", "1/packet", counted / (Rate * seconds), ("rate", Rate), ("payloadBytes", Size),
                ("method", "uprobes on the memcpy and memmove that the process calls, lengths of payload to payload and headers"));
        }

        if (trial.Subject is EspalierSubject)
        {
            // .NET copies less than 2 KB itself, where no uprobe sees it.
            trial.Record(
                $"{direction}, copies in managed code", "1/packet", direction == "outbound" ? 1 : 0,
                ("method", "from the source, not counted: a packet read from the TUN is put into its ESP frame once; inbound it is opened in place and gathered by writev"));
        }
    }

    private static async Task<long?> ManagedAsync(Trial trial, NetHost host, CancellationToken cancellation)
    {
        var runtime = trial.Subject is EspalierSubject ours ? (await ours.StatAsync(host, cancellation).ConfigureAwait(false))?["runtime"] : null;
        return runtime?["allocatedBytes"] is { } all ? (long)all - ((long?)runtime["allocatedForStatistics"] ?? 0) : null;
    }

    private static async Task MemoryAsync(Trial trial)
    {
        var peaks = new List<double>();
        await using var memory = new ResidentMemory(trial.Processes, ResidentMemory.Limit, trial.Subject.Kill);
        foreach (double rate in _rates)
        {
            int before = memory.Samples.Bytes.Length;
            await trial.Loads.UdpAsync(64, rate, trial.Settings.Seconds).ConfigureAwait(false);
            peaks.Add(memory.Samples.Bytes[before..].DefaultIfEmpty(0).Max() / 1e6);
            if (memory.StoppedAtLimit)
            {
                trial.Fail($"stopped at {ResidentMemory.Limit / 1e9:0.0} GB of resident memory at {rate:N0} packets/s");
                break;
            }

            await trial.RestAsync().ConfigureAwait(false);
        }

        trial.RecordSeries("memory against offered load", "MB", new Axis("offered", "packets/s", [.. _rates.Take(peaks.Count)]), [.. peaks], ("payloadBytes", 64), ("seconds", trial.Settings.Seconds));
    }
}
