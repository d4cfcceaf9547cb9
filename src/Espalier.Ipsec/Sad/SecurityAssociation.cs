using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Sad;

/// <summary>What finds an SA: SPI and outer destination (RFC 4303 §2.1; all SAs here are ESP).</summary>
public readonly record struct SaIdentity(Spi Spi, InternetAddress Destination)
{
    /// <summary>True where both are equal.</summary>
    public bool Equals(SaIdentity other) =>
        Spi.Value == other.Spi.Value && Destination.Bits == other.Destination.Bits && Destination.Version == other.Destination.Version;

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        ulong hash = ((ulong)Destination.Bits ^ (ulong)(Destination.Bits >> 64) ^ ((ulong)Spi.Value << 32)) * 0x9E3779B97F4A7C15;
        return (int)(hash >> 32) ^ (int)Spi.Value;
    }
}

/// <summary>
/// Life of an SA.
/// <code>
///  ALLOCSPI, ACQUIRE ──▶ Larval ──UPDSA──▶ Valid ──hard limit──▶ Expired ──▶ Dead
///                          │ timeout          └──DELSA, FLUSH, UPDSA────────▶ Dead
///                          └───────────────────────────────────────────────▶ Dead
/// </code>
/// </summary>
public enum SaState : byte
{
    /// <summary>Reserved by ALLOCSPI or waiting for an IKE daemon (XFRM_STATE_ACQ); has no keys.</summary>
    Larval,

    /// <summary>In use.</summary>
    Valid,

    /// <summary>Past a hard limit, about to be removed.</summary>
    Expired,

    /// <summary>Removed; its keys are zeroed.</summary>
    Dead,
}

/// <summary>Flags of an SA; values are the kernel's XFRM_STATE_*.</summary>
[Flags]
public enum SaFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Do not carry ECN between inner and outer header.</summary>
    NoEcn = 1,

    /// <summary>Copy the outer DSCP to the inner header on receipt.</summary>
    DecapDscp = 2,

    /// <summary>Never set DF on the outer header.</summary>
    NoPmtuDiscovery = 4,

    /// <summary>For receiving only: never chosen for sending.</summary>
    WildcardReceive = 8,

    /// <summary>An ICMP error to this host, or outside the SA's selector, is let in if what it is about would be.</summary>
    Icmp = 16,

    /// <summary>The selector's family does not restrict the inner family.</summary>
    AfUnspec = 32,

    /// <summary>Kept verbatim (only AH uses it).</summary>
    Align4 = 64,

    /// <summary>Extended sequence numbers.</summary>
    Esn = 128,
}

/// <summary>Extra flags of an SA (XFRMA_SA_EXTRA_FLAGS).</summary>
[Flags]
public enum SaExtraFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Do not copy the inner DSCP to the outer header.</summary>
    DontEncapsulateDscp = 1,

    /// <summary>Let the 32-bit sequence number wrap; refused by Espalier.</summary>
    OutboundSequenceMayWrap = 2,
}

/// <summary>UDP encapsulation of an SA (RFC 3948; the kernel's xfrm_encap_tmpl with UDP_ENCAP_ESPINUDP). Ports are in host byte order.</summary>
public readonly record struct UdpEncapsulation(ushort SourcePort, ushort DestinationPort, InternetAddress OriginalAddress);

/// <summary>
/// A security association in tunnel mode. What <c>init</c> sets never changes. The rest is owned as stated at each member:
/// the worker that handles the SA's packets writes hot fields in a batch, the control thread reads and writes anything while
/// workers are frozen (<see cref="IpsecDatabase.Freeze"/>).
/// </summary>
public sealed class SecurityAssociation : IDisposable
{
    /// <summary><see cref="SaDirection"/> of an SA for receiving (XFRM_SA_DIR_IN).</summary>
    public const byte DirectionIn = 1;

    /// <summary><see cref="SaDirection"/> of an SA for sending (XFRM_SA_DIR_OUT).</summary>
    public const byte DirectionOut = 2;

    // Hot: owned by the worker that handles this SA's packets.

    /// <summary>
    /// Where there are several workers in a direction: the number of the one that owns the fields below now, from 1; 0 = none. A worker takes it for the packets of
    /// a batch and gives it back when these are sent, or opened. Always 0 where there is one.
    /// </summary>
    public int Owner;

    /// <summary>
    /// Where several workers seal this SA at once: runs of sequence numbers taken so far, one a batch, and how many of them, in this order, were sent. Both go round.
    /// The first is the owner's, the second of the worker whose run is next.
    /// </summary>
    public uint RunsTaken;

    /// <summary>See <see cref="RunsTaken"/>.</summary>
    public uint RunsSent;

    /// <summary>
    /// So many runs more are numbered, sealed and sent by one worker at a time, because one had to wait long for its turn: its predecessor was not
    /// scheduled. A hint, which any worker may renew.
    /// </summary>
    public uint RunsAlone;

    /// <summary>How many the last such wait brought, 0 = there was none.</summary>
    public uint RunsAloneLast;

    /// <summary><see cref="RunsTaken"/> when it did.</summary>
    public uint RunsAloneSince;

    /// <summary>Last sequence number sent (64-bit; without ESN it stops at 2^32-1).</summary>
    public ulong OutboundSequence;

    /// <summary>Use against the limits.</summary>
    public LifetimeUsage Usage;

    /// <summary>Packets that the window held already.</summary>
    public ulong ReplayFailures;

    /// <summary>Packets left of the window.</summary>
    public ulong ReplayWindowFailures;

    /// <summary>Packets whose ICV was wrong.</summary>
    public ulong IntegrityFailures;

    /// <summary>Path MTU of the outer packet learnt for this SA, 0 = unknown; written by the control thread, workers frozen.</summary>
    public int PathMtu;

    /// <summary>A soft limit was reported: a newer SA is preferred.</summary>
    public bool Dying;

    /// <summary>The peer's address and port last reported by MAPPING, so that it is reported once per change. Inbound worker.</summary>
    public InternetAddress MappedAddress;

    /// <summary>The port, in host byte order, that goes with <see cref="MappedAddress"/>.</summary>
    public ushort MappedPort;

    // Warm: set by the control thread, workers frozen.

    /// <summary>State; the owning worker sets Expired when a hard limit is met in a batch, all else is the control thread's.</summary>
    /// <exception cref="InvalidOperationException">The way back from Expired or Dead, which does not exist: the limit was met, the keys are gone.</exception>
    public SaState State
    {
        get;
        set
        {
            if (value < field && field >= SaState.Expired)
            {
                throw new InvalidOperationException($"An SA does not go from {field} to {value}.");
            }

            field = value;
        }
    } = SaState.Larval;

    /// <summary>Anti-replay window; null = no check (window 0).</summary>
    public ReplayWindow? Replay { get; set; }

    /// <summary>Null while larval.</summary>
    public EspTransform? Transform { get; init; }

    /// <summary>SPI and outer destination.</summary>
    public required SaIdentity Id { get; init; }

    /// <summary>Outer source address.</summary>
    public required InternetAddress Source { get; init; }

    /// <summary>Ties the SA to policies.</summary>
    public uint ReqId { get; init; }

    /// <summary>Tunnel, or Transport in a larval SA.</summary>
    public IpsecMode Mode { get; init; } = IpsecMode.Tunnel;

    /// <summary>Flags.</summary>
    public SaFlags Flags { get; init; }

    /// <summary>Extra flags.</summary>
    public SaExtraFlags ExtraFlags { get; init; }

    /// <summary>The SA's own selector; default = none.</summary>
    public TrafficSelector Selector { get; init; }

    /// <summary>UDP encapsulation, or null for protocol 50. UPDSA changes ports, never whether there is one.</summary>
    public UdpEncapsulation? Encapsulation { get; set; }

    /// <summary>Pad the payload of sent packets to this length where the path MTU allows (XFRMA_TFCPAD), 0 = no.</summary>
    public uint TfcPadding { get; init; }

    /// <summary>Limits; UPDSA replaces them.</summary>
    public LifetimeLimits Limits = LifetimeLimits.None;

    /// <summary>Algorithms verbatim, for GETSA.</summary>
    public IReadOnlyList<AlgorithmSpec> Algorithms { get; init; } = [];

    /// <summary>The kernel's km.seq: ties an ACQUIRE to the SA that answers it.</summary>
    public uint KeyManagerSequence { get; init; }

    /// <summary>Window size as the struct or attribute set it, 0 to 4,096; NEWAE may change it within its bitmap.</summary>
    public int ReplayWindowSize { get; set; }

    /// <summary>XFRMA_REPLAY_ESN_VAL was used to set the window (it is answered in kind), also with ESN off.</summary>
    public bool ReplayStateIsEsn { get; init; }

    /// <summary>Words of the bitmap in XFRMA_REPLAY_ESN_VAL (bmp_len), which may be more than the window needs; answered in kind.</summary>
    public int ReplayBitmapWords { get; init; }

    /// <summary>XFRMA_MTIMER_THRESH: at most one MAPPING for the same port in so many seconds, 0 = one per change.</summary>
    public uint MappingMaxAge { get; set; }

    /// <summary>XFRMA_ETIMER_THRESH: not 0 = a replay state that has moved is told every second, whatever the number; answered as it came.</summary>
    public uint ReplayMaxAge { get; set; }

    /// <summary>XFRMA_REPLAY_THRESH: a replay state is told after so many sequence numbers, 0 = never for that.</summary>
    public uint ReplayMaxDifference { get; set; }

    /// <summary>XFRMA_COADDR verbatim, or null; UPDSA replaces one that was there.</summary>
    public byte[]? CareOfAddress { get; set; }

    /// <summary>Direction from XFRMA_SA_DIR (1 in, 2 out), 0 = not said. That of a larval SA changes with an ALLOCSPI. Control thread, workers frozen.</summary>
    public byte SaDirection { get; set; }

    /// <summary>Its places in the SAD; null where it is in none. Control thread, workers frozen; the outbound worker follows them.</summary>
    internal SadLinks? Links { get; set; }

    /// <summary>True for extended sequence numbers.</summary>
    public bool UsesEsn => (Flags & SaFlags.Esn) != 0;

    /// <summary>Bytes the tunnel adds at least: outer IP header, UDP header where encapsulated, ESP header, IV and ICV.</summary>
    public int OuterHeaderLength => (Source.Version == IpVersion.IPv6 ? 40 : 20) + (Encapsulation is null ? 0 : 8);

    /// <summary>The largest inner packet for an outer path MTU.</summary>
    public int InnerMtu(int outerMtu) => Transform?.Geometry.LargestPayload(outerMtu - OuterHeaderLength) ?? 0;

    /// <summary>Zeroes keys and releases the transform. Only after removal from the SAD, workers frozen.</summary>
    public void Dispose()
    {
        State = SaState.Dead;
        Transform?.Dispose();
        foreach (var algorithm in Algorithms)
        {
            algorithm.Dispose();
        }
    }
}
