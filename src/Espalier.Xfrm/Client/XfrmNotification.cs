using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Xfrm.Client;

/// <summary>What a notification is about.</summary>
public enum XfrmNotificationKind
{
    /// <summary>A message without a more special kind; see <see cref="XfrmNotification.MessageType"/>.</summary>
    Other,

    /// <summary>An SA was added (NEWSA) or changed (UPDSA).</summary>
    SaAdded,

    /// <summary>An SA was removed.</summary>
    SaDeleted,

    /// <summary>A policy was added (NEWPOLICY) or changed (UPDPOLICY).</summary>
    PolicyAdded,

    /// <summary>A policy was removed.</summary>
    PolicyDeleted,

    /// <summary>A policy lacks an SA.</summary>
    Acquire,

    /// <summary>An SA met a limit.</summary>
    Expired,

    /// <summary>The peer's address or port changed.</summary>
    Mapping,
}

/// <summary>One notification.</summary>
public sealed record XfrmNotification
{
    /// <summary>What it is about.</summary>
    public XfrmNotificationKind Kind { get; init; }

    /// <summary>nlmsg_type.</summary>
    public ushort MessageType { get; init; }

    /// <summary>The whole netlink message. May hold keys.</summary>
    public byte[] Message { get; init; } = [];

    /// <summary>The SA it names: of SaAdded, SaDeleted, Expired and Mapping; of Acquire the larval one.</summary>
    public SaIdentity Id { get; init; }

    /// <summary>Of Expired: a hard limit, the SA is gone.</summary>
    public bool Hard { get; init; }

    /// <summary>Of Acquire: number to put into <see cref="SaRequest.AcquireSequence"/>.</summary>
    public uint Sequence { get; init; }

    /// <summary>Of Acquire: the packet's own selector.</summary>
    public TrafficSelector Selector { get; init; }

    /// <summary>Of Acquire: the policy's. Of PolicyAdded and PolicyDeleted: the policy itself.</summary>
    public PolicyInfo? Policy { get; init; }

    /// <summary>Of Mapping: the new address.</summary>
    public InternetAddress PeerAddress { get; init; }

    /// <summary>Of Mapping: the new port.</summary>
    public ushort PeerPort { get; init; }
}
