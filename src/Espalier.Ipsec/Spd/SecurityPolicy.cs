using Espalier.Ipsec.Lifetimes;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>Direction of a policy; values are the kernel's XFRM_POLICY_IN, OUT, FWD.</summary>
public enum PolicyDirection : byte
{
    /// <summary>To this host.</summary>
    In = 0,

    /// <summary>From the TUN into a tunnel.</summary>
    Out = 1,

    /// <summary>Through this host.</summary>
    Forward = 2,
}

/// <summary>What a policy says; values are the kernel's XFRM_POLICY_ALLOW and BLOCK.</summary>
public enum PolicyAction : byte
{
    /// <summary>Protect by the templates, or pass in clear where there is none.</summary>
    Allow = 0,

    /// <summary>Discard.</summary>
    Block = 1,
}

/// <summary>Mode of an SA or template; values are the kernel's XFRM_MODE_*.</summary>
public enum IpsecMode : byte
{
    /// <summary>Transport mode: refused by Espalier except in a larval SA, where the mode is not known yet.</summary>
    Transport = 0,

    /// <summary>Tunnel mode.</summary>
    Tunnel = 1,
}

/// <summary>
/// Which SA a policy asks for (the kernel's xfrm_user_tmpl). Unspecified addresses, SPI 0 and reqid 0 are wildcards as in the kernel:
/// reqid 0 is a wildcard for inbound checks and an exact value for outbound look-ups.
/// </summary>
public sealed record PolicyTemplate(
    InternetAddress Source, InternetAddress Destination, Spi Spi, uint ReqId, IpsecMode Mode, byte Protocol, bool Optional,
    IpVersion Family, byte Share, uint AuthenticationAlgorithms, uint EncryptionAlgorithms, uint CompressionAlgorithms);

/// <summary>
/// One entry of the SPD. Immutable but for its usage counters, which the owning worker writes, and the cached SA.
/// </summary>
public sealed class SecurityPolicy
{
    /// <summary>Which packets.</summary>
    public required TrafficSelector Selector { get; init; }

    /// <summary>Which direction.</summary>
    public required PolicyDirection Direction { get; init; }

    /// <summary>Smaller wins.</summary>
    public required uint Priority { get; init; }

    /// <summary>The kernel's index: unique, its low three bits are the direction.</summary>
    public uint Index { get; set; }

    /// <summary>Allow or block.</summary>
    public PolicyAction Action { get; init; }

    /// <summary>XFRM_POLICY_LOCALOK (1), XFRM_POLICY_ICMP (2), … verbatim.</summary>
    public byte Flags { get; init; }

    /// <summary>
    /// XFRM_POLICY_ICMP, of a policy for sending: an ICMP error that no policy protects goes by this one, if this one covers what the error is about.
    /// </summary>
    public bool AdmitsIcmpErrors => (Flags & 2) != 0;

    /// <summary>Verbatim share value.</summary>
    public byte Share { get; init; }

    /// <summary>Templates, at most one in Espalier (a bundle of SAs is refused).</summary>
    public IReadOnlyList<PolicyTemplate> Templates { get; init; } = [];

    /// <summary>Limits.</summary>
    public LifetimeLimits Limits { get; init; } = LifetimeLimits.None;

    /// <summary>True if packets must be protected: allow with a template.</summary>
    public bool Protects => Action == PolicyAction.Allow && Templates.Count > 0;

    /// <summary>Use; field, because workers write in place: one worker, or several by interlocked operations.</summary>
    public LifetimeUsage Usage;

    /// <summary>Written by outbound workers, before <see cref="CachedGeneration"/>: the SA it last resolved to, valid while <see cref="CachedGeneration"/> is the SAD's.</summary>
    internal Sad.SecurityAssociation? CachedSa { get; set; }

    /// <summary>Generation of the SAD at which <see cref="CachedSa"/> was found.</summary>
    internal long CachedGeneration
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    } = -1;

    /// <summary>Whether <see cref="CachedSa"/> was dying when it was found: once it turns dying, a newer one is looked for.</summary>
    internal bool CachedDying { get; set; }

    /// <summary>Its place in the SPD; null where it is in none. Control thread, workers frozen.</summary>
    internal SpdEntry? Entry { get; set; }

    /// <summary>Place among policies of equal priority: smaller is older and decides first. -1 while the policy is in no SPD.</summary>
    public long Age => Entry?.Age ?? -1;

    /// <summary>Set once, when a soft limit was reported.</summary>
    public bool SoftExpired { get; set; }
}
