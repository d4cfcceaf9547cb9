namespace Espalier.Ipsec;

/// <summary>Security Parameters Index (RFC 4303 §2.1), in host byte order. 1 to 255 are reserved for IANA, and used all the same by SAs keyed by hand, as on the kernel; 0 is never on the wire.</summary>
public readonly record struct Spi(uint Value)
{
    /// <summary>True for 0 to 255, which no IKE daemon gives out.</summary>
    public bool IsReserved => Value < 256;

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x8}";
}
