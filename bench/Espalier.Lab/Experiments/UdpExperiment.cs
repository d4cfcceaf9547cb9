using Espalier.Lab.Measuring;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>Zero-loss rates and what a flood leaves, for small and large datagrams. Bytes are those of UDP payload.</summary>
internal sealed class UdpExperiment : Experiment
{
    private const double ZeroLoss = 1e-5, PartialLoss = 1e-3, Start = 20_000;
    private static readonly int[] _sizes = [64, 1300];

    /// <inheritdoc/>
    public override string Name => "udp";

    /// <inheritdoc/>
    public override string Claim => "C6";

    /// <inheritdoc/>
    public override string Sentence => "It is slow.";

    /// <inheritdoc/>
    public override string Description => "highest rate of 64-byte and 1,300-byte datagrams without loss (RFC 2544 style), and what arrives of a flood";

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 9 : 1;

    /// <inheritdoc/>
    public override Variants Tells => Variants.Main;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) =>
        _sizes.Length * (SearchSeconds(settings, restless: false) + settings.Seconds + settings.WarmUp + settings.Grace + 1);

    /// <inheritdoc/>
    public override double RestlessSeconds(LabSettings settings, Subject subject) =>
        _sizes.Length * (SearchSeconds(settings, restless: true) - SearchSeconds(settings, restless: false));

    /// <summary>
    /// About how long the three searches of a size take together, which share their trials. As counted in runs: four trials that pass on the way up; two at each step
    /// between and two at the end that lose something, so that their grace passes and the daemons must rest; and five that confirm. On a restless machine confirmations
    /// fail, the more the finer the grid is: half a trial more for each of its steps in a doubling.
    /// </summary>
    internal static double SearchSeconds(LabSettings settings, bool restless)
    {
        double steps = Math.Log(2) / Math.Log(settings.Resolution), lossy = 2 + (2 * Math.Log2(steps)), more = restless ? steps / 2 : 0;
        return (4 * (settings.TrialSeconds + 0.15)) + (lossy * (settings.TrialSeconds + settings.Grace + 0.25))
            + (5 * (settings.ConfirmSeconds + 0.3)) + (more * (settings.ConfirmSeconds + settings.Grace + 0.25));
    }

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        double[] zeroLoss = new double[_sizes.Length];
        for (int i = 0; i < _sizes.Length; i++)
        {
            zeroLoss[i] = await SearchAsync(trial, _sizes[i]).ConfigureAwait(false);
        }

        // Last, because what an unbounded queue keeps of a flood takes long to drain.
        for (int i = 0; i < _sizes.Length; i++)
        {
            await trial.RestAsync().ConfigureAwait(false);
            await FloodAsync(trial, _sizes[i], zeroLoss[i]).ConfigureAwait(false);
        }
    }

    private static async Task<double> SearchAsync(Trial trial, int size)
    {
        var settings = trial.Settings;
        async Task<RateTrial> RunAsync(double rate, double seconds)
        {
            var load = await trial.Loads.UdpAsync(size, rate, seconds).ConfigureAwait(false);
            if (load.Received.Packets < load.Sent.Packets)
            {
                await trial.RestAsync().ConfigureAwait(false); // an unbounded queue holds what was lost, and would meet the next trial
            }

            return new RateTrial(rate, seconds, load.Sent.Scheduled, load.Sent.Packets, load.Received.Packets);
        }

        var search = new RateSearch(new RateSearchOptions(Start, settings.Resolution, settings.TrialSeconds, settings.ConfirmSeconds), RunAsync);
        var zero = await search.FindAsync(ZeroLoss).ConfigureAwait(false);
        var partial = await search.FindAsync(PartialLoss, zero).ConfigureAwait(false);
        var strict = await search.FindAsync(0, zero).ConfigureAwait(false);

        // What passes a stricter test passes the others; on a restless machine a later search may have had more luck.
        zero = strict.Rate > zero.Rate ? strict : zero;
        partial = zero.Rate > partial.Rate ? zero : partial;
        foreach (var (name, share, finding) in ((string, double, RateFinding)[])
            [("zero loss", ZeroLoss, zero), ("0.1 % loss", PartialLoss, partial), ("strictly zero loss", 0, strict)])
        {
            trial.Record(
                $"{size} B, {name}", "packets/s", finding.Rate, ("payloadBytes", size), ("lossAtMost", share), ("generatorLimited", finding.GeneratorLimited),
                ("trialSeconds", settings.TrialSeconds), ("confirmSeconds", settings.ConfirmSeconds), ("resolution", settings.Resolution),
                ("trials", search.Trials.Count()), ("voidTrials", search.Voided), ("graceSeconds", settings.Grace));
        }

        return zero.Rate;
    }

    private static async Task FloodAsync(Trial trial, int size, double zeroLoss)
    {
        var settings = trial.Settings;
        var flood = await trial.Loads.UdpAsync(size, 0, settings.Seconds + settings.WarmUp, settings.WarmUp).ConfigureAwait(false);
        double offered = flood.Sent.Packets / flood.Sent.Seconds;
        double arrived = flood.Received.WindowSeconds > 0 ? flood.Received.WindowPackets / flood.Received.WindowSeconds : 0;
        trial.Record($"{size} B, flood offered", "packets/s", offered, ("payloadBytes", size));
        trial.Record($"{size} B, flood arrives", "packets/s", arrived, ("payloadBytes", size), ("sinkOverflows", flood.Received.Overflows), ("reordered", flood.Received.Reordered));
        if (zeroLoss > 0)
        {
            trial.Record($"{size} B, flood arrives over zero loss", "ratio", arrived / zeroLoss, ("payloadBytes", size));
        }
    }
}
