using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Bounds and times of the control plane.</summary>
public sealed record XfrmOptions
{
    /// <summary>Seconds that a larval SA lives (the kernel's net.core.xfrm_acq_expires).</summary>
    public uint AcquireExpiresSeconds { get; init; } = 30;

    /// <summary>
    /// Where the kernel's setting is to be read for each larval SA, because IKE daemons write it after our start (charon: 165); null from it, or
    /// no reader, is <see cref="AcquireExpiresSeconds"/>.
    /// </summary>
    public Func<uint?>? ReadAcquireExpires { get; init; }

    /// <summary>
    /// Who asks for an SA that is not there hears not only so but, if it listens, that the SA has expired: IKE daemons ask for SAs that a data plane before
    /// this one had, and make new ones when these have expired. The kernel, which does not end before its IKE daemon, says nothing.
    /// </summary>
    public bool ExpireUnknown { get; init; }

    /// <summary>
    /// Whether SAs may be of one direction (XFRMA_SA_DIR), as since Linux 6.10; else the attribute is passed over, as by older kernels. pluto sends it to
    /// every kernel, but the replay window of 0 that it demands of an outbound SA only where uname says 6.10.
    /// </summary>
    public bool KnowsDirections { get; init; } = true;

    /// <summary>What does the cryptography of the SAs.</summary>
    public CryptoEngine Engine { get; init; } = CryptoEngine.System;

    /// <summary>Larval SAs that ACQUIREs may have made at a time; further ones are counted as errors.</summary>
    public int MaximumAcquiring { get; init; } = 4096;
}

/// <summary>What all handlers share. Control thread only.</summary>
internal sealed class XfrmContext
{
    /// <summary>Largest datagram towards a client: charon's receive buffer.</summary>
    public const int MaximumDatagram = 4096;

    private readonly HashSet<SecurityAssociation> _acquiring = [];
    private uint _acquireSequence;

    public XfrmContext(IpsecDatabase database, IXfrmListeners listeners, XfrmOptions options)
    {
        Database = database;
        Listeners = listeners;
        Options = options;
        Lifetimes = new LifetimeClock(database);
        database.Sad.Removed += association => _acquiring.RemoveAndShrink(association);
    }

    public IpsecDatabase Database { get; }

    public IXfrmListeners Listeners { get; }

    public XfrmOptions Options { get; }

    /// <summary>For the message at hand; empty between messages. Larger than a datagram, so that a dump can go one message too far and step back.</summary>
    public NetlinkWriter Writer { get; } = new(4 * MaximumDatagram);

    /// <summary>Prefix lengths of NEWSPDINFO: kept and answered; the SPD needs no tuning, so they have no other effect.</summary>
    public XfrmSpdHashThreshold IPv4Threshold { get; set; } = new() { LocalBits = 32, RemoteBits = 32 };

    /// <summary>See <see cref="IPv4Threshold"/>.</summary>
    public XfrmSpdHashThreshold IPv6Threshold { get; set; } = new() { LocalBits = 128, RemoteBits = 128 };

    /// <summary>Unix seconds.</summary>
    public ulong Now => (ulong)Database.Clock.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>Limits of a larval SA that is made now.</summary>
    public LifetimeLimits LarvalLimits =>
        LifetimeLimits.None with { HardAddSeconds = Options.ReadAcquireExpires?.Invoke() ?? Options.AcquireExpiresSeconds };

    /// <summary>Larval SAs that ACQUIREs have made.</summary>
    public int AcquiringCount => _acquiring.Count;

    /// <summary>The limits of time of all SAs and policies.</summary>
    public LifetimeClock Lifetimes { get; }

    /// <summary>To be called when limits or times of an SA in the SAD were changed.</summary>
    public void LimitsChanged(SecurityAssociation association) => Lifetimes.Reschedule(association);

    /// <summary>The next number that ties an ACQUIRE to its larval SA; never 0.</summary>
    public uint NextAcquireSequence()
    {
        unchecked
        {
            _acquireSequence++;
        }

        return _acquireSequence == 0 ? ++_acquireSequence : _acquireSequence;
    }

    /// <summary>Remembers a larval SA that an ACQUIRE made, until it leaves the SAD.</summary>
    public void CountAcquiring(SecurityAssociation association) => _acquiring.Add(association);

    /// <summary>Sends what is in the writer to a group and empties the writer.</summary>
    public void Publish(XfrmGroup group)
    {
        Listeners.Publish(group, Writer.Written);
        Writer.Clear();
    }

    /// <summary>Answers with what is in the writer and empties the writer.</summary>
    public void Reply(in XfrmRequest request)
    {
        request.Peer.Reply(Writer.Written);
        Writer.Clear();
    }
}
