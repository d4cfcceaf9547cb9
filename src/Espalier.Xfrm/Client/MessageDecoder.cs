using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Client;

/// <summary>Reads what a data plane answers and notifies.</summary>
internal static class MessageDecoder
{
    /// <summary>NEWSA and UPDSA; null if malformed.</summary>
    public static SaInfo? DecodeSa(ReadOnlySpan<byte> message)
    {
        if (XfrmAttributes.Parse(message, Unsafe.SizeOf<XfrmUserSaInfo>(), XfrmAttributes.Kind.Xfrm, out var attributes).Failed)
        {
            return null;
        }

        var info = MemoryMarshal.Read<XfrmUserSaInfo>(message[NetlinkHeader.Size..]);
        var version = XfrmConversions.ToVersion(info.Family);
        AlgorithmParser.Parse(attributes, out var algorithms);
        var usage = Usage(info.Current);
        if (attributes.Has(XfrmAttribute.LastUsed))
        {
            usage.LastUsed = attributes.Read<ulong>(XfrmAttribute.LastUsed);
        }

        var (outbound, inbound, window) = ReadReplay(attributes, info.ReplayWindow);
        return new SaInfo
        {
            Id = new SaIdentity(new Spi(XfrmConversions.Swap(info.Id.Spi)), XfrmConversions.ToAddress(info.Id.DestinationAddress, version)),
            Source = XfrmConversions.ToAddress(info.SourceAddress, version),
            ReqId = info.ReqId,
            Mode = (IpsecMode)info.Mode,
            Flags = (SaFlags)info.Flags,
            Selector = XfrmConversions.ToSelector(info.Selector, XfrmConversions.ToVersion(info.Selector.Family)),
            Limits = XfrmConversions.ToLimits(info.Limits),
            Usage = usage,
            ReplayWindowFailures = info.Statistics.ReplayWindow,
            ReplayFailures = info.Statistics.Replay,
            IntegrityFailures = info.Statistics.IntegrityFailed,
            OutboundSequence = outbound,
            InboundSequence = inbound,
            ReplayWindow = window,
            Encapsulation = SaBuilder.ReadEncapsulation(attributes, version),
            AcquireSequence = info.Sequence,
            Algorithms = algorithms,
        };
    }

    /// <summary>NEWPOLICY and UPDPOLICY; null if malformed.</summary>
    public static PolicyInfo? DecodePolicy(ReadOnlySpan<byte> message) =>
        XfrmAttributes.Parse(message, Unsafe.SizeOf<XfrmUserPolicyInfo>(), XfrmAttributes.Kind.Xfrm, out var attributes).Failed
            ? null : ToPolicy(MemoryMarshal.Read<XfrmUserPolicyInfo>(message[NetlinkHeader.Size..]), attributes);

    /// <summary>Any notification; malformed ones as Other.</summary>
    public static XfrmNotification DecodeNotification(ReadOnlySpan<byte> message)
    {
        var header = MemoryMarshal.Read<NetlinkHeader>(message);
        var plain = new XfrmNotification { MessageType = header.Type, Message = message.ToArray() };
        return (XfrmMessage)header.Type switch
        {
            XfrmMessage.NewSa or XfrmMessage.UpdateSa when TryBody<XfrmUserSaInfo>(message, out var info) =>
                plain with { Kind = XfrmNotificationKind.SaAdded, Id = Identity(info.Id, info.Family) },
            XfrmMessage.DeleteSa when TryBody<XfrmUserSaId>(message, out var id) =>
                plain with { Kind = XfrmNotificationKind.SaDeleted, Id = Identity(id) },
            XfrmMessage.NewPolicy or XfrmMessage.UpdatePolicy when DecodePolicy(message) is { } policy =>
                plain with { Kind = XfrmNotificationKind.PolicyAdded, Policy = policy },
            XfrmMessage.DeletePolicy => DecodeDeletedPolicy(message, plain),
            XfrmMessage.Expire when TryBody<XfrmUserExpire>(message, out var expire) =>
                plain with { Kind = XfrmNotificationKind.Expired, Id = Identity(expire.State.Id, expire.State.Family), Hard = expire.Hard != 0 },
            XfrmMessage.Mapping when TryBody<XfrmUserMapping>(message, out var mapping) => plain with
            {
                Kind = XfrmNotificationKind.Mapping,
                Id = Identity(mapping.Id),
                PeerAddress = XfrmConversions.ToAddress(mapping.NewSourceAddress, XfrmConversions.ToVersion(mapping.Id.Family)),
                PeerPort = XfrmConversions.Swap(mapping.NewSourcePort),
            },
            XfrmMessage.Acquire => DecodeAcquire(message, plain),
            _ => plain,
        };
    }

    private static XfrmNotification DecodeAcquire(ReadOnlySpan<byte> message, XfrmNotification plain)
    {
        if (XfrmAttributes.Parse(message, Unsafe.SizeOf<XfrmUserAcquire>(), XfrmAttributes.Kind.Xfrm, out var attributes).Failed)
        {
            return plain;
        }

        var acquire = MemoryMarshal.Read<XfrmUserAcquire>(message[NetlinkHeader.Size..]);
        ushort family = attributes.Has(XfrmAttribute.Template)
            ? attributes.Read<XfrmUserTemplate>(XfrmAttribute.Template).Family : acquire.Selector.Family;
        return plain with
        {
            Kind = XfrmNotificationKind.Acquire,
            Id = Identity(acquire.Id, family),
            Sequence = acquire.Sequence,
            Selector = XfrmConversions.ToSelector(acquire.Selector, XfrmConversions.ToVersion(acquire.Selector.Family)),
            Policy = ToPolicy(acquire.Policy, attributes),
        };
    }

    private static XfrmNotification DecodeDeletedPolicy(ReadOnlySpan<byte> message, XfrmNotification plain) =>
        XfrmAttributes.Parse(message, Unsafe.SizeOf<XfrmUserPolicyId>(), XfrmAttributes.Kind.Xfrm, out var attributes).Failed
        || !attributes.Has(XfrmAttribute.Policy)
            ? plain
            : plain with
            {
                Kind = XfrmNotificationKind.PolicyDeleted,
                Policy = ToPolicy(attributes.Read<XfrmUserPolicyInfo>(XfrmAttribute.Policy), attributes),
            };

    private static PolicyInfo ToPolicy(in XfrmUserPolicyInfo info, in XfrmAttributes attributes)
    {
        PolicyTemplateRequest? template = null;
        if (attributes.Has(XfrmAttribute.Template))
        {
            var given = attributes.Read<XfrmUserTemplate>(XfrmAttribute.Template);
            var version = XfrmConversions.ToVersion(given.Family);
            template = new PolicyTemplateRequest(
                XfrmConversions.ToAddress(given.SourceAddress, version),
                XfrmConversions.ToAddress(given.Id.DestinationAddress, version),
                given.ReqId,
                new Spi(XfrmConversions.Swap(given.Id.Spi)));
        }

        return new PolicyInfo
        {
            Selector = XfrmConversions.ToSelector(info.Selector, XfrmConversions.ToVersion(info.Selector.Family)),
            Direction = (PolicyDirection)info.Direction,
            Priority = info.Priority,
            Index = info.Index,
            Action = (PolicyAction)info.Action,
            Limits = XfrmConversions.ToLimits(info.Limits),
            Usage = Usage(info.Current),
            Template = template,
        };
    }

    private static (ulong Outbound, ulong Inbound, int Window) ReadReplay(in XfrmAttributes attributes, byte legacyWindow)
    {
        if (attributes.Has(XfrmAttribute.ReplayEsnValue))
        {
            var esn = attributes.Read<XfrmReplayStateEsn>(XfrmAttribute.ReplayEsnValue);
            return (
                ((ulong)esn.OutboundSequenceHigh << 32) | esn.OutboundSequence,
                ((ulong)esn.SequenceHigh << 32) | esn.Sequence,
                (int)esn.ReplayWindow);
        }

        if (attributes.Has(XfrmAttribute.ReplayValue))
        {
            var state = attributes.Read<XfrmReplayState>(XfrmAttribute.ReplayValue);
            return (state.OutboundSequence, state.Sequence, legacyWindow);
        }

        return (0, 0, legacyWindow);
    }

    private static LifetimeUsage Usage(in XfrmLifetimeCurrent current) => new()
    {
        Bytes = current.Bytes,
        Packets = current.Packets,
        AddTime = current.AddTime,
        UseTime = current.UseTime,
    };

    private static bool TryBody<T>(ReadOnlySpan<byte> message, out T body)
        where T : unmanaged => MemoryMarshal.TryRead(message[NetlinkHeader.Size..], out body);

    private static SaIdentity Identity(in XfrmId id, ushort family) => new(
        new Spi(XfrmConversions.Swap(id.Spi)), XfrmConversions.ToAddress(id.DestinationAddress, XfrmConversions.ToVersion(family)));

    private static SaIdentity Identity(in XfrmUserSaId id) => new(
        new Spi(XfrmConversions.Swap(id.Spi)), XfrmConversions.ToAddress(id.DestinationAddress, XfrmConversions.ToVersion(id.Family)));
}
