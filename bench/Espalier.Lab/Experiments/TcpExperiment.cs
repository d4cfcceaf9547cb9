using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>Throughput of TCP, and what it costs.</summary>
internal sealed class TcpExperiment : Experiment
{
    private const int Streams = 4;

    /// <inheritdoc/>
    public override string Name => "tcp";

    /// <inheritdoc/>
    public override string Claim => "C6";

    /// <inheritdoc/>
    public override string Sentence => "It is slow.";

    /// <inheritdoc/>
    public override string Description => "throughput of one TCP stream, and of four streams each way at once; processor seconds for a gigabyte";

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 9 : 5;

    /// <inheritdoc/>
    public override Variants Tells => Variants.All;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => 2 * (settings.Seconds + settings.WarmUp + 0.6);

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        var settings = trial.Settings;
        var one = (await trial.Loads.TcpAsync(1, bothWays: false, settings.WarmUp, settings.Seconds).ConfigureAwait(false))[0];
        trial.Record("one stream", "Gb/s", one.Bytes * 8 / one.Seconds / 1e9, ("streams", 1), ("warmUpSeconds", settings.WarmUp), ("seconds", settings.Seconds));
        var (cost, softIrq) = trial.ProcessorCost(one.Processor, one.Seconds, one.Bytes);
        trial.Record("processor time of one stream", "s/GB", cost, ("softIrqShare", softIrq), ("idleTicksPerSecond", trial.IdleTicks));
        await trial.RestAsync().ConfigureAwait(false);

        var both = await trial.Loads.TcpAsync(Streams, bothWays: true, settings.WarmUp, settings.Seconds).ConfigureAwait(false);
        trial.Record("four streams both ways", "Gb/s", both.Sum(way => way.Bytes * 8 / way.Seconds / 1e9), ("streamsEachWay", Streams), ("seconds", settings.Seconds));
    }
}
