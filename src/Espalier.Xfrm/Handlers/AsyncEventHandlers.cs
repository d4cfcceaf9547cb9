using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>NEWAE, GETAE and EXPIRE from key managers (xfrm_new_ae, xfrm_get_ae, xfrm_add_sa_expire).</summary>
internal sealed class AsyncEventHandlers
{
    private readonly XfrmContext _context;
    private readonly SaHandlers _associations;
    private readonly SaExpiry _expiry;

    public AsyncEventHandlers(XfrmContext context, SaHandlers associations, SaExpiry expiry)
    {
        _context = context;
        _associations = associations;
        _expiry = expiry;
    }

    /// <summary>GETAE: replay state, lifetime, and the thresholds that the flags ask for.</summary>
    public XfrmError Get(in XfrmRequest request)
    {
        var id = request.Body<XfrmAsyncEventId>();
        if (_associations.Find(id.Id) is not { } sa)
        {
            return new XfrmError(LinuxError.NoProcess);
        }

        using (_context.Database.Freeze())
        {
            AsyncEventWriter.Write(_context.Writer, sa, id.Flags, request.Header.Sequence, request.Header.PortId);
        }

        _context.Reply(request);
        return XfrmError.None;
    }

    /// <summary>NEWAE: sets replay state, lifetime and thresholds of a valid SA.</summary>
    public XfrmError Set(in XfrmRequest request)
    {
        var attributes = request.Attributes;
        if (!attributes.Has(XfrmAttribute.LifetimeValue) && !attributes.Has(XfrmAttribute.ReplayValue)
            && !attributes.Has(XfrmAttribute.ReplayEsnValue) && !attributes.Has(XfrmAttribute.EventTimerThreshold)
            && !attributes.Has(XfrmAttribute.ReplayThreshold))
        {
            return XfrmError.Invalid("Missing required attribute for AE");
        }

        if ((request.Header.Flags & Netlink.Replace) == 0)
        {
            return XfrmError.Invalid("NLM_F_REPLACE flag is required");
        }

        if (_associations.Find(request.Body<XfrmAsyncEventId>().Id) is not { } sa)
        {
            return new XfrmError(LinuxError.NoProcess);
        }

        if (sa.State != SaState.Valid)
        {
            return XfrmError.Invalid("SA must be in VALID state");
        }

        var error = SaReplayVerifier.VerifyChange(sa, attributes);
        if (error.Failed)
        {
            return error;
        }

        using (_context.Database.Freeze())
        {
            SaBuilder.RestoreReplay(sa, attributes);
            SaBuilder.ReadLifetime(sa, attributes);
            SaBuilder.ReadThresholds(sa, attributes, sa.ReplayMaxDifference, sa.ReplayMaxAge);
            _context.LimitsChanged(sa);
            AsyncEventWriter.Write(_context.Writer, sa, XfrmValue.AeCauseUpdate, request.Header.Sequence, request.Header.PortId);
        }

        _context.Publish(XfrmGroup.AsyncEvents);
        return XfrmError.None;
    }

    /// <summary>EXPIRE from a key manager: EXPIRE is sent to all; hard removes the SA.</summary>
    public XfrmError Expire(in XfrmRequest request)
    {
        var expire = request.Body<XfrmUserExpire>();
        var id = new XfrmUserSaId
        {
            DestinationAddress = expire.State.Id.DestinationAddress,
            Spi = expire.State.Id.Spi,
            Family = expire.State.Family,
            Protocol = expire.State.Id.Protocol,
        };
        if (_associations.Find(id) is not { } sa)
        {
            return new XfrmError(LinuxError.NoEntry);
        }

        if (sa.State != SaState.Valid)
        {
            return XfrmError.Invalid("SA must be in VALID state");
        }

        using (_context.Database.Freeze())
        {
            _expiry.Notify(sa, expire.Hard != 0, request.Header.PortId);
            if (expire.Hard != 0)
            {
                _context.Database.Sad.Remove(sa);
            }
        }

        return XfrmError.None;
    }
}
