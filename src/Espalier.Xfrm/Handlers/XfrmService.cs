using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Xfrm.Events;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// The XFRM interface over a SAD and an SPD, without sockets: requests in, answers and notifications out. Control thread only.
/// </summary>
internal sealed class XfrmService : IDisposable
{
    private readonly SaHandlers _associations;
    private readonly SpiHandler _spis;
    private readonly PolicyHandlers _policies;
    private readonly AsyncEventHandlers _asyncEvents;
    private readonly InformationHandlers _information;
    private readonly MigrateHandler _migrate;
    private readonly List<int> _outcomes = [];

    public XfrmService(IpsecDatabase database, IXfrmListeners listeners, XfrmOptions options)
    {
        Context = new XfrmContext(database, listeners, options);
        var expiry = new SaExpiry(Context);
        _associations = new SaHandlers(Context, expiry);
        _spis = new SpiHandler(Context, _associations);
        _policies = new PolicyHandlers(Context);
        _asyncEvents = new AsyncEventHandlers(Context, _associations, expiry);
        _information = new InformationHandlers(Context);
        _migrate = new MigrateHandler(Context);
        Events = new EventPump(Context, expiry, _policies);
    }

    /// <summary>What the handlers share.</summary>
    public XfrmContext Context { get; }

    /// <summary>Events of the workers, and limits of time.</summary>
    public EventPump Events { get; }

    /// <summary>Called after a request that may have changed SAD, SPD or defaults, workers running, before its answer.</summary>
    public Action? Changed { get; set; }

    /// <summary>Told why a request was refused that the kernel can and Espalier cannot do.</summary>
    public Action<string>? Unsupported { get; init; }

    /// <summary>
    /// Told of an exception, a bug of ours that one message met: this message is answered with EIO, and the others of the datagram are handled. Null: it goes on
    /// to the caller.
    /// </summary>
    public Action<Exception>? Failed { get; init; }

    /// <summary>Requests handled, and those that ended in an error.</summary>
    public long Requests { get; private set; }

    /// <summary>See <see cref="Requests"/>.</summary>
    public long Failures { get; private set; }

    /// <summary>How each message of the datagram that was handled last ended: 0 or an errno, whether or not it was acknowledged.</summary>
    public ReadOnlySpan<int> Outcomes => CollectionsMarshal.AsSpan(_outcomes);

    /// <summary>Datagrams with bytes that are no message.</summary>
    public long Malformed { get; private set; }

    /// <summary>
    /// Handles all messages of one datagram as netlink_rcv_skb does: messages without NLM_F_REQUEST and control messages are only acknowledged,
    /// an error or NLM_F_ACK gives NLMSG_ERROR, a dump neither.
    /// </summary>
    public void Handle(ReadOnlySpan<byte> datagram, IXfrmPeer peer)
    {
        _outcomes.Clear();
        var reader = new NetlinkMessageReader(datagram);
        while (reader.MoveNext())
        {
            Requests++;
            var header = reader.Header;
            var error = XfrmError.None;
            bool acknowledge = true;
            if ((header.Flags & Netlink.Request) != 0 && header.Type >= Netlink.FirstType)
            {
                error = HandleContained(reader.Message, header, peer, out acknowledge);
            }

            _outcomes.Add(error.Errno);
            if (error.Failed || (acknowledge && (header.Flags & Netlink.Acknowledge) != 0))
            {
                Failures += error.Failed ? 1 : 0;
                if (error is { Errno: LinuxError.NotSupported or LinuxError.ProtocolNotSupported, Text: { } reason })
                {
                    Unsupported?.Invoke(reason);
                }

                Acknowledge(reader.Message, header, peer, error);
            }
        }

        Malformed += reader.Malformed ? 1 : 0;
    }

    /// <summary>Answers NLMSG_ERROR.</summary>
    public void Acknowledge(ReadOnlySpan<byte> message, in NetlinkHeader header, IXfrmPeer peer, XfrmError error)
    {
        NetlinkAnswers.Error(Context.Writer, message, header, header.PortId, error, XfrmContext.MaximumDatagram);
        peer.Reply(Context.Writer.Written);
        Context.Writer.Clear();
    }

    /// <summary>What a client is told of a bug of ours.</summary>
    public static XfrmError Failure => new(LinuxError.InputOutput, "Espalier failed; its log says more");

    /// <summary>Stops watching the database.</summary>
    public void Dispose() => Context.Lifetimes.Dispose();

    private XfrmError HandleContained(ReadOnlySpan<byte> message, NetlinkHeader header, IXfrmPeer peer, out bool acknowledge)
    {
        try
        {
            var error = HandleOne(message, header, peer, out acknowledge);
            Context.Writer.Clear();
            if (Changes((XfrmMessage)header.Type))
            {
                Changed?.Invoke();
            }

            return error;
        }
#pragma warning disable CA1031 // A bug of ours in one message must not end the data plane; it is logged, and the client is told.
        catch (Exception exception) when (Failed is not null)
#pragma warning restore CA1031
        {
            Context.Writer.Clear();
            Failed(exception);
            acknowledge = true;
            return Failure;
        }
    }

    private XfrmError HandleOne(ReadOnlySpan<byte> message, NetlinkHeader header, IXfrmPeer peer, out bool acknowledge)
    {
        acknowledge = true;
        var type = (XfrmMessage)header.Type;
        if (type > XfrmMessage.Last)
        {
            return new XfrmError(LinuxError.Invalid);
        }

        if (type is XfrmMessage.GetSa or XfrmMessage.GetPolicy && (header.Flags & Netlink.Dump) != 0)
        {
            acknowledge = false;
            return StartDump(new XfrmRequest { Message = message, Header = header, Attributes = default, Peer = peer });
        }

        var kind = type == XfrmMessage.NewSpdInfo ? XfrmAttributes.Kind.Spd
            : Context.Options.KnowsDirections ? XfrmAttributes.Kind.Xfrm : XfrmAttributes.Kind.XfrmWithoutDirection;
        var error = XfrmAttributes.Parse(message, HeaderLength(type), kind, out var attributes);
        error = error.Failed || kind == XfrmAttributes.Kind.Spd ? error : RejectUnused(type, attributes);
        error = error.Failed
            ? error : Dispatch(new XfrmRequest { Message = message, Header = header, Attributes = attributes, Peer = peer });
        return attributes.HasLeftover && error.Text is null ? error with { Text = "bytes leftover after parsing attributes" } : error;
    }

    private XfrmError StartDump(in XfrmRequest request)
    {
        if (request.Peer.DumpInProgress)
        {
            return new XfrmError(LinuxError.Busy);
        }

        if (request.Type == XfrmMessage.GetSa)
        {
            _associations.Dump(request);
        }
        else
        {
            _policies.Dump(request);
        }

        return XfrmError.None;
    }

    private XfrmError Dispatch(in XfrmRequest request) => request.Type switch
    {
        XfrmMessage.NewSa or XfrmMessage.UpdateSa => _associations.Add(request),
        XfrmMessage.DeleteSa => _associations.Delete(request),
        XfrmMessage.GetSa => _associations.Get(request),
        XfrmMessage.FlushSa => _associations.Flush(request),
        XfrmMessage.AllocateSpi => _spis.Allocate(request),
        XfrmMessage.NewPolicy or XfrmMessage.UpdatePolicy => _policies.Add(request),
        XfrmMessage.DeletePolicy or XfrmMessage.GetPolicy => _policies.GetOrDelete(request),
        XfrmMessage.FlushPolicy => _policies.Flush(request),
        XfrmMessage.PolicyExpire => _policies.Expire(request),
        XfrmMessage.Expire => _asyncEvents.Expire(request),
        XfrmMessage.NewAsyncEvent => _asyncEvents.Set(request),
        XfrmMessage.GetAsyncEvent => _asyncEvents.Get(request),
        XfrmMessage.Migrate => _migrate.Migrate(request),
        XfrmMessage.GetSadInfo => _information.GetSadInfo(request),
        XfrmMessage.NewSpdInfo => _information.SetSpdInfo(request),
        XfrmMessage.GetSpdInfo => _information.GetSpdInfo(request),
        XfrmMessage.SetDefault => _information.SetDefault(request),
        XfrmMessage.GetDefault => _information.GetDefault(request),
        XfrmMessage.Acquire => XfrmError.Unsupported("ACQUIRE from user space is not supported by Espalier: it is only sent"),
        // REPORT, MAPPING, NEWSADINFO: the kernel has no handler for them either.
        _ => new XfrmError(LinuxError.Invalid),
    };

    private static bool Changes(XfrmMessage type) => type
        is XfrmMessage.NewSa or XfrmMessage.UpdateSa or XfrmMessage.DeleteSa or XfrmMessage.FlushSa or XfrmMessage.Expire
        or XfrmMessage.NewPolicy or XfrmMessage.UpdatePolicy or XfrmMessage.DeletePolicy or XfrmMessage.FlushPolicy or XfrmMessage.PolicyExpire
        or XfrmMessage.Migrate or XfrmMessage.SetDefault;

    // xfrm_reject_unused_attr.
    private static XfrmError RejectUnused(XfrmMessage type, in XfrmAttributes attributes)
    {
        bool builds = type is XfrmMessage.NewSa or XfrmMessage.UpdateSa or XfrmMessage.AllocateSpi;
        return attributes.Has(XfrmAttribute.SaDirection) && !builds ? XfrmError.Invalid("Invalid attribute SA_DIR")
            : attributes.Has(XfrmAttribute.SaPerCpu) && !builds && type != XfrmMessage.Acquire ? XfrmError.Invalid("Invalid attribute SA_PCPU")
            : XfrmError.None;
    }

    // xfrm_msg_min.
    private static int HeaderLength(XfrmMessage type) => type switch
    {
        XfrmMessage.NewSa or XfrmMessage.UpdateSa => Unsafe.SizeOf<XfrmUserSaInfo>(),
        XfrmMessage.DeleteSa or XfrmMessage.GetSa => Unsafe.SizeOf<XfrmUserSaId>(),
        XfrmMessage.NewPolicy or XfrmMessage.UpdatePolicy => Unsafe.SizeOf<XfrmUserPolicyInfo>(),
        XfrmMessage.DeletePolicy or XfrmMessage.GetPolicy or XfrmMessage.Migrate => Unsafe.SizeOf<XfrmUserPolicyId>(),
        XfrmMessage.AllocateSpi => Unsafe.SizeOf<XfrmUserSpiInfo>(),
        XfrmMessage.Acquire => Unsafe.SizeOf<XfrmUserAcquire>(),
        XfrmMessage.Expire => Unsafe.SizeOf<XfrmUserExpire>(),
        XfrmMessage.PolicyExpire => Unsafe.SizeOf<XfrmUserPolicyExpire>(),
        XfrmMessage.FlushSa => Unsafe.SizeOf<XfrmUserSaFlush>(),
        XfrmMessage.NewAsyncEvent or XfrmMessage.GetAsyncEvent => Unsafe.SizeOf<XfrmAsyncEventId>(),
        XfrmMessage.Report => Unsafe.SizeOf<XfrmUserReport>(),
        XfrmMessage.GetSadInfo or XfrmMessage.NewSpdInfo or XfrmMessage.GetSpdInfo => sizeof(uint),
        XfrmMessage.Mapping => Unsafe.SizeOf<XfrmUserMapping>(),
        XfrmMessage.SetDefault or XfrmMessage.GetDefault => Unsafe.SizeOf<XfrmUserPolicyDefault>(),
        _ => 0,
    };
}
