namespace Espalier.Lab;

/// <summary>How a run measures; the same for every subject, and part of its results.</summary>
/// <param name="Full">The profile without a limit of time.</param>
/// <param name="Repeat">Alternations; null = each experiment's own number for the profile.</param>
/// <param name="Seconds">Length of each timed load.</param>
/// <param name="WarmUp">Seconds of a load that are dropped before it is timed.</param>
/// <param name="Seed">Seed of the order of subjects, and of the bootstrap by which two runs are compared.</param>
/// <param name="QueueLength">txqueuelen of every TUN and veth device.</param>
/// <param name="SocketBuffer">Default size of socket buffers during the run, bytes; 0 = the host's.</param>
/// <param name="Pinning">none, or hosts: everything of moon on the first half of the processors, everything of sun on the second.</param>
/// <param name="TrialSeconds">Length of a search trial.</param>
/// <param name="ConfirmSeconds">Length of a confirming trial.</param>
/// <param name="Resolution">Ratio of neighbouring rates of a search.</param>
internal sealed record LabSettings(
    bool Full, int? Repeat, double Seconds, double WarmUp, int Seed, int QueueLength, int SocketBuffer, string Pinning,
    double TrialSeconds, double ConfirmSeconds, double Resolution)
{
    /// <summary>
    /// Whether every variant of a subject takes part in every experiment. Without it only the first does where variants make no difference,
    /// such as the crypto engine to what a packet allocates.
    /// </summary>
    public bool EveryVariant { get; init; }

    /// <summary>What is not there so many seconds after the last datagram was sent is lost.</summary>
    public double Grace => Math.Min(0.5, Seconds);

    /// <summary>The profile of `run --full`: nine alternations of 10 s.</summary>
    public static LabSettings FullProfile(int seed) => new(true, null, 10, 1, seed, 1000, 4 << 20, "none", 2, 10, 1.03) { EveryVariant = true };

    /// <summary>The profile of `run`: every experiment within half an hour.</summary>
    public static LabSettings ShortProfile(int seed) => new(false, null, 2, 0.5, seed, 1000, 4 << 20, "none", 0.5, 1.5, 1.2);

    /// <summary>Processors of moon and of sun, as taskset takes them; null = any.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public (string? Moon, string? Sun) Processors => Pinning == "hosts" && Environment.ProcessorCount >= 2
        ? (Range(0, Environment.ProcessorCount / 2), Range(Environment.ProcessorCount / 2, Environment.ProcessorCount))
        : (null, null);

    private static string Range(int from, int end) => from + 1 == end ? $"{from}" : $"{from}-{end - 1}";
}
