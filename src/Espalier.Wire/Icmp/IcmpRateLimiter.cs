namespace Espalier.Wire.Icmp;

/// <summary>
/// A token bucket for ICMP errors (RFC 4443 §2.4 (f), RFC 1812 §4.3.2.8). It knows no clock: the caller passes the time.
/// Owned by one thread.
/// </summary>
public sealed class IcmpRateLimiter
{
    /// <summary>Messages a second, as the kernel's icmp_msgs_per_sec.</summary>
    public const int DefaultPerSecond = 1000;

    /// <summary>Messages at once, as the kernel's icmp_msgs_burst.</summary>
    public const int DefaultBurst = 50;

    private const long UnitsPerToken = 1000;

    private readonly long _perSecond;
    private readonly long _capacity;
    private long _units;
    private long _last;
    private bool _started;

    /// <summary>A full bucket of <paramref name="burst"/> tokens that gains <paramref name="perSecond"/> tokens a second.</summary>
    public IcmpRateLimiter(int perSecond = DefaultPerSecond, int burst = DefaultBurst)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(perSecond);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(burst);
        _perSecond = perSecond;
        _capacity = burst * UnitsPerToken;
        _units = _capacity;
    }

    /// <summary>Messages that were refused.</summary>
    public long Refused { get; private set; }

    /// <summary>
    /// Takes a token; false, and counted, where there is none. <paramref name="nowMilliseconds"/> is any monotonic clock in milliseconds;
    /// a time before the last one gains nothing.
    /// </summary>
    public bool TryTake(long nowMilliseconds)
    {
        if (!_started)
        {
            _started = true;
            _last = nowMilliseconds;
        }

        long elapsed = nowMilliseconds - _last;
        if (elapsed > 0)
        {
            _last = nowMilliseconds;

            // A second's worth of units a millisecond: elapsed is bounded first, so that the product cannot overflow.
            long needed = (_capacity - _units + _perSecond - 1) / _perSecond;
            _units = elapsed >= needed ? _capacity : _units + (elapsed * _perSecond);
        }

        if (_units < UnitsPerToken)
        {
            Refused++;
            return false;
        }

        _units -= UnitsPerToken;
        return true;
    }
}
