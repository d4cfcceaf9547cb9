namespace Espalier.Xfrm.Tests;

/// <summary>A clock that stands still until it is told.</summary>
internal sealed class ManualClock : TimeProvider
{
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public ulong Now => (ulong)_now.ToUnixTimeSeconds();

    public void Advance(int seconds) => _now += TimeSpan.FromSeconds(seconds);

    public override DateTimeOffset GetUtcNow() => _now;

    public override long GetTimestamp() => _now.UtcTicks;
}
