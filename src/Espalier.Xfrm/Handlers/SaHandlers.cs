using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>NEWSA, UPDSA, DELSA, GETSA and FLUSHSA, as the kernel's xfrm_add_sa, xfrm_del_sa, xfrm_get_sa, xfrm_dump_sa and xfrm_flush_sa.</summary>
internal sealed class SaHandlers
{
    private readonly XfrmContext _context;
    private readonly SaExpiry _expiry;
    private readonly SaInstaller _installer;

    public SaHandlers(XfrmContext context, SaExpiry expiry)
    {
        _context = context;
        _expiry = expiry;
        _installer = new SaInstaller(context, expiry);
    }

    private SecurityAssociationDatabase Sad => _context.Database.Sad;

    /// <summary>NEWSA and UPDSA.</summary>
    public XfrmError Add(in XfrmRequest request)
    {
        var info = request.Body<XfrmUserSaInfo>();
        var error = SaVerifier.Verify(info, request);
        if (error.Failed)
        {
            return error;
        }

        error = SaBuilder.Build(info, request.Attributes, _context.Options.Engine, _context.Now, out var sa);
        if (error.Failed || sa is null)
        {
            return error;
        }

        // The candidate ends in the SAD, or is disposed here with its keys.
        using (_context.Database.Freeze())
        {
            bool kept = false;
            try
            {
                error = request.Type == XfrmMessage.NewSa ? _installer.Insert(sa, out kept) : _installer.Update(sa, out kept);
                if (!error.Failed)
                {
                    NotifyAdded(sa, request.Type, request.Header.Sequence, request.Header.PortId);
                }
            }
            finally
            {
                if (!kept)
                {
                    sa.Dispose();
                }
            }
        }

        return error;
    }

    /// <summary>DELSA.</summary>
    public XfrmError Delete(in XfrmRequest request)
    {
        var error = Lookup(request.Body<XfrmUserSaId>(), request.Attributes, out var sa);
        if (error.Failed)
        {
            return error;
        }

        using (_context.Database.Freeze())
        {
            // Written before the SA is disposed, sent after it is gone: the keys are part of the message.
            WriteDeleted(sa!, request.Header.Sequence, request.Header.PortId);
            Sad.Remove(sa!);
        }

        _context.Publish(XfrmGroup.Sa);
        return XfrmError.None;
    }

    /// <summary>GETSA of one SA.</summary>
    public XfrmError Get(in XfrmRequest request)
    {
        var id = request.Body<XfrmUserSaId>();
        var error = Lookup(id, request.Attributes, out var sa);
        if (error.Errno == LinuxError.NoProcess && _context.Options.ExpireUnknown && id.Protocol == XfrmValue.ProtocolEsp)
        {
            _expiry.NotifyUnknown(id);
        }

        if (error.Failed)
        {
            return error;
        }

        ReplyWith(request, sa!);
        return XfrmError.None;
    }

    /// <summary>Answers with NEWSA.</summary>
    public void ReplyWith(in XfrmRequest request, SecurityAssociation sa)
    {
        using (_context.Database.Freeze())
        {
            var writer = _context.Writer;
            writer.Begin(XfrmMessage.NewSa, 0, request.Header.Sequence, request.Header.PortId);
            SaWriter.Fill(ref writer.Reserve<XfrmUserSaInfo>(), sa);
            SaWriter.WriteAttributes(writer, sa);
            writer.End();
        }

        _context.Reply(request);
    }

    /// <summary>GETSA with NLM_F_DUMP.</summary>
    public void Dump(in XfrmRequest request)
    {
        // The kernel parses a dump's filter with a header of no length, whatever struct may stand there.
        var error = XfrmAttributes.Parse(request.Message, 0, XfrmAttributes.Kind.Xfrm, out var attributes);
        var filter = default(XfrmAddressFilter);
        bool filtered = !error.Failed && attributes.Has(XfrmAttribute.AddressFilter);
        if (filtered)
        {
            filter = attributes.Read<XfrmAddressFilter>(XfrmAttribute.AddressFilter);
            if (filter.SourcePrefixLength > 128 || filter.DestinationPrefixLength > 128)
            {
                error = new XfrmError(LinuxError.Invalid);
            }
        }

        if (error.Failed)
        {
            FailedDump.Reply(_context, request, error);
            return;
        }

        byte protocol = attributes.Has(XfrmAttribute.Protocol) ? attributes[XfrmAttribute.Protocol][0] : (byte)0;
        request.Peer.StartDump(
            new SaDump(_context.Database, request.Header.Sequence, request.Header.PortId, protocol, filtered ? filter : null));
    }

    /// <summary>FLUSHSA.</summary>
    public XfrmError Flush(in XfrmRequest request)
    {
        byte protocol = request.Body<XfrmUserSaFlush>().Protocol;
        if (!ProtocolMatches(protocol) || Sad.Count == 0)
        {
            return XfrmError.None;
        }

        using (_context.Database.Freeze())
        {
            foreach (var sa in Sad.All.ToArray())
            {
                Sad.Remove(sa);
            }
        }

        var writer = _context.Writer;
        writer.Begin(XfrmMessage.FlushSa, 0, request.Header.Sequence, request.Header.PortId);
        writer.Reserve<XfrmUserSaFlush>().Protocol = protocol;
        writer.End();
        _context.Publish(XfrmGroup.Sa);
        return XfrmError.None;
    }

    /// <summary>Finds the SA that a request names, as xfrm_user_state_lookup. An SA without mark is found with any mark.</summary>
    public XfrmError Lookup(in XfrmUserSaId id, in XfrmAttributes attributes, out SecurityAssociation? sa)
    {
        sa = null;
        if (id.Protocol is not (XfrmValue.ProtocolEsp or XfrmValue.ProtocolAh or XfrmValue.ProtocolIpComp or XfrmValue.ProtocolAny)
            && !attributes.Has(XfrmAttribute.SourceAddress))
        {
            return new XfrmError(LinuxError.Invalid);
        }

        sa = Find(id);
        return sa is null ? new XfrmError(LinuxError.NoProcess) : XfrmError.None;
    }

    /// <summary>Finds an ESP SA by destination and SPI, or null.</summary>
    public SecurityAssociation? Find(in XfrmUserSaId id)
    {
        var version = XfrmConversions.ToVersion(id.Family);
        uint spi = XfrmConversions.Swap(id.Spi);
        return id.Protocol != XfrmValue.ProtocolEsp || version == IpVersion.None || spi == 0
            ? null : Sad.Find(new SaIdentity(new Spi(spi), XfrmConversions.ToAddress(id.DestinationAddress, version)));
    }

    /// <summary>xfrm_id_proto_match for ESP: 0 and 255 stand for any protocol.</summary>
    public static bool ProtocolMatches(byte wanted) => wanted is 0 or XfrmValue.ProtocolEsp or XfrmValue.ProtocolAny;

    private void NotifyAdded(SecurityAssociation sa, XfrmMessage type, uint sequence, uint portId)
    {
        var writer = _context.Writer;
        writer.Begin(type, 0, sequence, portId);
        SaWriter.Fill(ref writer.Reserve<XfrmUserSaInfo>(), sa);
        SaWriter.WriteAttributes(writer, sa);
        writer.End();
        _context.Publish(XfrmGroup.Sa);
    }

    private void WriteDeleted(SecurityAssociation sa, uint sequence, uint portId)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.DeleteSa, 0, sequence, portId);
        SaWriter.FillId(ref writer.Reserve<XfrmUserSaId>(), sa);
        SaWriter.Fill(ref writer.ReserveAttribute<XfrmUserSaInfo>(XfrmAttribute.Sa), sa);
        SaWriter.WriteAttributes(writer, sa);
        writer.End();
    }
}
