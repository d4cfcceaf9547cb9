namespace Espalier.DataPlane.Workers;

/// <summary>The time of the batch at hand: read once a batch, not once a packet. One worker's.</summary>
internal sealed class BatchClock(TimeProvider clock)
{
    /// <summary>Unix time in seconds, for lifetimes.</summary>
    public ulong UnixSeconds { get; private set; }

    /// <summary>Milliseconds of a clock that does not go back, for rates.</summary>
    public long Milliseconds { get; private set; }

    /// <summary>Reads the clocks.</summary>
    public void Update()
    {
        UnixSeconds = (ulong)clock.GetUtcNow().ToUnixTimeSeconds();
        Milliseconds = clock.GetTimestamp() / (clock.TimestampFrequency / 1000);
    }
}
