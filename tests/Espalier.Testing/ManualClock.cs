namespace Espalier.Testing;

/// <summary>A clock that stands still until it is told; its monotonic time moves with the wall's.</summary>
public sealed class ManualClock : TimeProvider
{
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Seconds since 1970.</summary>
    public ulong Now
    {
        get => (ulong)_now.ToUnixTimeSeconds();
        set => _now = DateTimeOffset.FromUnixTimeSeconds((long)value);
    }

    /// <summary>Moves it on.</summary>
    public void Advance(TimeSpan time) => _now += time;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _now;

    /// <inheritdoc/>
    public override long GetTimestamp() => _now.UtcTicks;
}
