namespace Espalier.Lab.Measuring;

/// <summary>One trial of a search.</summary>
/// <param name="Rate">Packets a second asked for.</param>
/// <param name="Seconds">Length.</param>
/// <param name="Scheduled">Packets the generator was to send.</param>
/// <param name="Sent">Packets it sent.</param>
/// <param name="Received">Packets that arrived.</param>
internal sealed record RateTrial(double Rate, double Seconds, long Scheduled, long Sent, long Received)
{
    private const double FullSchedule = 0.999, HalfHearted = 0.9;

    /// <summary>True if the generator did not keep its schedule: the trial says nothing.</summary>
    public bool IsVoid => Sent < Scheduled * FullSchedule;

    /// <summary>True if the generator was far from its schedule, so that little is to be hoped of another try.</summary>
    public bool IsFarOff => Sent < Scheduled * HalfHearted;

    /// <summary>Share of the sent packets that did not arrive.</summary>
    public double Loss => Sent == 0 ? 1 : Math.Max(0, (double)(Sent - Received) / Sent);
}

/// <summary>What a search found: the highest rate that passes, 0 if none does.</summary>
/// <param name="Rate">Packets a second.</param>
/// <param name="GeneratorLimited">True if the search ended because the generator could not keep a higher schedule.</param>
internal sealed record RateFinding(double Rate, bool GeneratorLimited);

/// <summary>How a search goes.</summary>
/// <param name="Start">First rate.</param>
/// <param name="Resolution">Ratio of neighbouring rates.</param>
/// <param name="TrialSeconds">Length of a trial.</param>
/// <param name="ConfirmSeconds">Length of the trials that confirm the end.</param>
internal sealed record RateSearchOptions(double Start, double Resolution, double TrialSeconds, double ConfirmSeconds)
{
    /// <summary>Highest rate that is tried.</summary>
    public double Highest { get; init; } = 4e6;
}

/// <summary>
/// Search of the highest rate at which no more than a share of the packets is lost, after RFC 2544 §26.1. Rates lie on a geometric grid. From the
/// start it doubles up or halves down until one passes and a higher one fails, halves between them, and confirms the end by longer trials, going down
/// a step, then two, four, and halving up again where they fail. A rate passes if two of three trials pass. Trials are remembered: a second
/// search by another share uses them again, and looks only below what has failed it.
/// </summary>
internal sealed class RateSearch(RateSearchOptions options, Func<double, double, Task<RateTrial>> run)
{
    private const int VoidTrials = 3, Votes = 2;

    /// <summary>A trial that lost more has no need of a second to turn the search back.</summary>
    private const double Hopeless = 0.2;

    private readonly Dictionary<(int Step, double Seconds), List<RateTrial>> _trials = [];
    private readonly HashSet<int> _beyondGenerator = [];

    /// <summary>All trials so far that were not void.</summary>
    public IEnumerable<RateTrial> Trials => _trials.Values.SelectMany(list => list);

    /// <summary>Void trials so far.</summary>
    public int Voided { get; private set; }

    /// <summary>Finds the highest rate whose loss is at most <paramref name="share"/>; the second and later searches begin at the last one's end.</summary>
    public async Task<RateFinding> FindAsync(double share, RateFinding? near = null)
    {
        int span = (int)Math.Max(1, Math.Round(Math.Log(2) / Math.Log(options.Resolution)));
        int highest = Step(options.Highest), lowest = Step(1);
        int passed = near is { Rate: > 0 } ? Step(near.Rate) : 0;
        int failed;
        if (await MayPassAsync(passed, share).ConfigureAwait(false))
        {
            for (failed = Next(passed, span, share); failed <= highest && await MayPassAsync(failed, share).ConfigureAwait(false); failed = Next(passed, span, share))
            {
                passed = failed;
            }
        }
        else
        {
            for (failed = passed, passed -= span; passed > lowest && !await MayPassAsync(passed, share).ConfigureAwait(false); passed -= span)
            {
                failed = passed;
            }
        }

        while (failed - passed > 1)
        {
            int middle = passed + ((failed - passed) / 2);
            bool passes = await MayPassAsync(middle, share).ConfigureAwait(false);
            (passed, failed) = passes ? (middle, failed) : (passed, middle);
        }

        passed = await ConfirmAsync(passed, lowest, span, share).ConfigureAwait(false);
        return new RateFinding(passed > lowest ? Rate(passed) : 0, _beyondGenerator.Contains(passed + 1));
    }

    // Twice the rate, or the next that is known to fail.
    private int Next(int step, int span, double share) => _trials.Where(tried => tried.Key.Step > step && tried.Key.Seconds == options.TrialSeconds && Verdict(tried.Value, share, 1) == false)
        .Select(tried => tried.Key.Step).Concat(_beyondGenerator.Where(beyond => beyond > step)).Append(step + span).Min();

    // Down by a step, two, four until longer trials pass, then halving up again to the highest that does.
    private async Task<int> ConfirmAsync(int passed, int lowest, int span, double share)
    {
        int failed = passed + 1;
        for (int down = 1; passed > lowest && !await PassesAsync(passed, share, options.ConfirmSeconds, Votes).ConfigureAwait(false); down = Math.Min(2 * down, span))
        {
            failed = passed;
            passed -= down;
        }

        while (passed > lowest && failed - passed > 1)
        {
            int middle = passed + ((failed - passed) / 2);
            bool passes = await PassesAsync(middle, share, options.ConfirmSeconds, Votes).ConfigureAwait(false);
            (passed, failed) = passes ? (middle, failed) : (passed, middle);
        }

        return passed;
    }

    // On the way one good trial is enough to go on, since the end is confirmed; to turn back takes two of three.
    private Task<bool> MayPassAsync(int step, double share) => PassesAsync(step, share, options.TrialSeconds, 1);

    // Two of three: the third trial is not run where the first two agree.
    private async Task<bool> PassesAsync(int step, double share, double seconds, int votes)
    {
        if (_beyondGenerator.Contains(step))
        {
            return false;
        }

        if (!_trials.TryGetValue((step, seconds), out var trials))
        {
            _trials[(step, seconds)] = trials = [];
        }

        while (true)
        {
            if (Verdict(trials, share, votes) is { } passes)
            {
                return passes;
            }

            if (await TryAsync(step, seconds).ConfigureAwait(false) is not { } trial)
            {
                _beyondGenerator.Add(step);
                return false;
            }

            trials.Add(trial);
        }
    }

    // Null: not enough trials yet.
    private static bool? Verdict(List<RateTrial> trials, double share, int votes)
    {
        int good = trials.Count(trial => trial.Loss <= share);
        int bad = trials.Count - good;
        bool hopeless = votes < Votes && good == 0 && trials.Exists(trial => trial.Loss > Hopeless);
        return (good >= votes && bad == 0) || good >= Votes || bad >= Votes || hopeless ? good > bad : null;
    }

    private async Task<RateTrial?> TryAsync(int step, double seconds)
    {
        for (int attempt = 0; attempt < VoidTrials; attempt++)
        {
            var trial = await run(Rate(step), seconds).ConfigureAwait(false);
            if (!trial.IsVoid)
            {
                return trial;
            }

            Voided++;
            if (trial.IsFarOff && attempt > 0)
            {
                break;
            }
        }

        return null;
    }

    private double Rate(int step) => options.Start * Math.Pow(options.Resolution, step);

    private int Step(double rate) => (int)Math.Round(Math.Log(rate / options.Start) / Math.Log(options.Resolution));
}
