namespace Espalier.Ipsec.Esp;

/// <summary>Values of the next header field that tunnel mode knows (RFC 4303 §2.6).</summary>
public static class EspNextHeader
{
    /// <summary>An IPv4 packet.</summary>
    public const byte IPv4 = 4;

    /// <summary>An IPv6 packet.</summary>
    public const byte IPv6 = 41;

    /// <summary>A dummy packet, to be discarded.</summary>
    public const byte None = 59;
}
