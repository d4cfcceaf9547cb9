using System.Diagnostics;
using Espalier.Lab.Hosts;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>What many SAs and policies cost those that one uses, the one in the middle.</summary>
internal sealed class ScaleExperiment : Experiment
{
    private const double Rate = 20_000;

    /// <inheritdoc/>
    public override string Name => "scale";

    /// <inheritdoc/>
    public override string Claim => "C6";

    /// <inheritdoc/>
    public override string Sentence => "It is slow.";

    /// <inheritdoc/>
    public override string Description => "TCP, 64-byte UDP and memory with 1 to 10,000 SAs each way and their policies (1,000 without --full)";

    /// <inheritdoc/>
    public override bool StartsSubject => false;

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 3 : 1;

    /// <inheritdoc/>
    public override bool Applies(Subject subject) => subject.Scales;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) =>
        Counts(settings).Sum(count => 4 + (2 * settings.Seconds) + (count * (subject.Name == "libipsec" ? 0.04 : 0.001)));

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        var settings = trial.Settings;
        foreach (int count in Counts(settings))
        {
            await using var bed = await Net.Testbed.CreateAsync(settings, cancellation).ConfigureAwait(false);
            try
            {
                long start = Stopwatch.GetTimestamp();
                await trial.Subject.StartAsync(bed, new StartOptions(Associations: count), cancellation).ConfigureAwait(false);
                trial.Record($"{count} SAs, start", "s", Stopwatch.GetElapsedTime(start).TotalSeconds, ("associations", count));
                await bed.EqualiseQueuesAsync(settings.QueueLength, cancellation).ConfigureAwait(false);
                await MeasureAsync(trial, bed, count, cancellation).ConfigureAwait(false);
            }
            catch (LabException exception)
            {
                trial.Fail($"{count} SAs: {exception.Message}");
            }
            finally
            {
                await trial.Subject.StopAsync().ConfigureAwait(false);
            }
        }
    }

    private static async Task MeasureAsync(Trial trial, Net.Testbed bed, int count, CancellationToken cancellation)
    {
        var settings = trial.Settings;
        var loads = new Measuring.Loads(bed, TimeSpan.FromSeconds(trial.Settings.Grace), cancellation);
        var tcp = (await loads.TcpAsync(1, false, settings.WarmUp, settings.Seconds).ConfigureAwait(false))[0];
        trial.Record($"{count} SAs, TCP one stream", "Gb/s", tcp.Bytes * 8 / tcp.Seconds / 1e9, ("associations", count));

        // At a rate that everybody carries, processor time tells more than loss.
        double idle = await Measuring.ProcessorTime.BaselineAsync(0.5, cancellation).ConfigureAwait(false);
        var udp = await loads.UdpAsync(64, Rate, settings.Seconds + settings.WarmUp, settings.WarmUp).ConfigureAwait(false);
        double busy = Math.Max(0, udp.Received.Processor.Busy - (idle * udp.Received.WindowSeconds)) / Measuring.ProcessorTime.TicksPerSecond;
        trial.Record($"{count} SAs, 64 B UDP lost", "%", 100.0 * Math.Max(0, udp.Sent.Packets - udp.Received.Packets) / udp.Sent.Packets, ("associations", count), ("rate", Rate));
        trial.Record($"{count} SAs, 64 B UDP processor time", "µs/packet", busy * 1e6 / Math.Max(1, udp.Received.WindowPackets), ("associations", count), ("rate", Rate));
        double[] resident = [.. bed.Hosts.Select(trial.Subject.ProcessId).OfType<int>().Select(id => (ProcessMemory.Read(id)?.VmRss ?? 0) * 1024.0)];
        if (resident.Length > 0)
        {
            trial.Record($"{count} SAs, resident memory", "MB", resident.Max() / 1e6, ("associations", count));
        }
    }

    private static int[] Counts(LabSettings settings) => settings.Full ? [1, 10, 100, 1000, 10_000] : settings.Seconds < 1 ? [1, 10] : [1, 100, 1000];
}
