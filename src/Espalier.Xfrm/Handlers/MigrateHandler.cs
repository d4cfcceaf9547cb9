using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// MIGRATE (xfrm_migrate): gives a policy's template and its SAs new outer addresses. All or nothing: SAs and policy are changed only
/// when every step can be done.
/// </summary>
internal sealed class MigrateHandler
{
    private readonly XfrmContext _context;

    public MigrateHandler(XfrmContext context) => _context = context;

    /// <summary>Handles the request; MIGRATE is sent to all.</summary>
    public XfrmError Migrate(in XfrmRequest request)
    {
        var attributes = request.Attributes;
        if (!attributes.Has(XfrmAttribute.Migrate))
        {
            return XfrmError.Invalid("Missing required MIGRATE attribute");
        }

        var error = PolicyVerifier.VerifyType(attributes);
        if (error.Failed)
        {
            return error;
        }

        var value = attributes[XfrmAttribute.Migrate];
        int size = Unsafe.SizeOf<XfrmUserMigrate>();
        var entries = MemoryMarshal.Cast<byte, XfrmUserMigrate>(value[..(value.Length / size * size)]);
        error = Verify(entries);
        error = error.Failed ? error : VerifyEncapsulation(attributes);
        if (error.Failed)
        {
            return error;
        }

        var id = request.Body<XfrmUserPolicyId>();
        if (id.Direction > (byte)PolicyDirection.Forward)
        {
            return XfrmError.Invalid("Invalid policy direction");
        }

        using (_context.Database.Freeze())
        {
            if (FindPolicy(id.Selector, (PolicyDirection)id.Direction) is not { } policy)
            {
                return new XfrmError(LinuxError.NoEntry, "Target policy not found");
            }

            error = Apply(policy, entries, attributes);
        }

        if (!error.Failed)
        {
            Notify(id, entries, attributes);
        }

        return error;
    }

    private static XfrmError Verify(ReadOnlySpan<XfrmUserMigrate> entries)
    {
        if (entries.Length is 0 or > XfrmValue.MaximumDepth)
        {
            return XfrmError.Invalid("Invalid number of SAs to migrate, must be 0 < num <= XFRM_MAX_DEPTH (6)");
        }

        for (int i = 0; i < entries.Length; i++)
        {
            var version = XfrmConversions.ToVersion(entries[i].NewFamily);
            if (version != IpVersion.None
                && (XfrmConversions.ToAddress(entries[i].NewDestinationAddress, version).IsUnspecified
                    || XfrmConversions.ToAddress(entries[i].NewSourceAddress, version).IsUnspecified))
            {
                return XfrmError.Invalid("Addresses in the MIGRATE attribute's list cannot be null");
            }

            for (int j = i + 1; j < entries.Length; j++)
            {
                if (AreAlike(entries[i], entries[j]))
                {
                    return XfrmError.Invalid("Entries in the MIGRATE attribute's list must be unique");
                }
            }
        }

        return XfrmError.None;
    }

    private static bool AreAlike(in XfrmUserMigrate one, in XfrmUserMigrate other) =>
        XfrmConversions.Bytes(one.OldDestinationAddress).SequenceEqual(XfrmConversions.Bytes(other.OldDestinationAddress))
        && XfrmConversions.Bytes(one.OldSourceAddress).SequenceEqual(XfrmConversions.Bytes(other.OldSourceAddress))
        && one.Protocol == other.Protocol && one.Mode == other.Mode && one.ReqId == other.ReqId && one.OldFamily == other.OldFamily;

    private static XfrmError VerifyEncapsulation(in XfrmAttributes attributes) =>
        attributes.Has(XfrmAttribute.Encapsulation)
        && attributes.Read<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation).Type != XfrmValue.EncapsulationEspInUdp
            ? XfrmError.Unsupported("This encapsulation type is not supported by Espalier: use espinudp")
        : attributes.Has(XfrmAttribute.OffloadDevice)
            ? XfrmError.Unsupported("Hardware offload (XFRMA_OFFLOAD_DEV) is not supported by Espalier")
        : attributes.ReadUInt32(XfrmAttribute.InterfaceId, 0) != 0
            ? XfrmError.Unsupported("XFRM interfaces (if_id other than 0) are not supported by Espalier")
        : XfrmError.None;

    // xfrm_migrate_policy_find: with protocol "any" the addresses alone decide; the highest priority first.
    private SecurityPolicy? FindPolicy(in XfrmSelector selector, PolicyDirection direction)
    {
        var version = XfrmConversions.ToVersion(selector.Family);
        if (version == IpVersion.None)
        {
            return null;
        }

        var wanted = XfrmConversions.ToSelector(selector, version);
        if (selector.Protocol != XfrmValue.ProtocolAny)
        {
            return _context.Database.Spd.Find(wanted, direction);
        }

        SecurityPolicy? best = null;
        foreach (var policy in _context.Database.Spd.Policies)
        {
            if (policy.Direction == direction && policy.Selector.Source == wanted.Source && policy.Selector.Destination == wanted.Destination
                && (best is null || policy.Priority < best.Priority))
            {
                best = policy;
            }
        }

        return best;
    }

    private XfrmError Apply(SecurityPolicy policy, ReadOnlySpan<XfrmUserMigrate> entries, in XfrmAttributes attributes)
    {
        var templates = NewTemplates(policy, entries);
        if (templates is null)
        {
            return new XfrmError(LinuxError.NoData);
        }

        var olds = new List<SecurityAssociation>();
        var news = new List<SecurityAssociation>();
        var error = XfrmError.None;
        foreach (ref readonly var entry in entries)
        {
            if (error.Failed)
            {
                break;
            }

            if (FindAssociation(entry) is { } old)
            {
                olds.Add(old);
                error = Clone(old, entry, attributes, olds, news);
            }
        }

        if (error.Failed)
        {
            news.ForEach(sa => sa.Dispose());
            return error;
        }

        var sad = _context.Database.Sad;
        olds.ForEach(sa => sad.Remove(sa));
        news.ForEach(sa => sad.TryAdd(sa));
        _context.Database.Spd.AddOrReplace(WithTemplates(policy, templates));
        return XfrmError.None;
    }

    private SecurityAssociation? FindAssociation(in XfrmUserMigrate entry)
    {
        var version = XfrmConversions.ToVersion(entry.OldFamily);
        var source = XfrmConversions.ToAddress(entry.OldSourceAddress, version);
        var destination = XfrmConversions.ToAddress(entry.OldDestinationAddress, version);
        if (entry.Protocol != XfrmValue.ProtocolEsp || version == IpVersion.None || XfrmConversions.ToVersion(entry.NewFamily) == IpVersion.None)
        {
            return null;
        }

        // The kernel takes the newest of several.
        SecurityAssociation? found = null;
        foreach (var sa in _context.Database.Sad.All)
        {
            if ((byte)sa.Mode == entry.Mode && sa.Id.Destination == destination && sa.Source == source
                && (entry.ReqId == 0 || sa.ReqId == entry.ReqId) && sa.State == SaState.Valid)
            {
                found = sa;
            }
        }

        return found;
    }

    // xfrm_state_clone_and_setup. The transform is made anew from the keys: its salt of the IVs is another one, so no nonce repeats.
    private XfrmError Clone(
        SecurityAssociation old, in XfrmUserMigrate entry, in XfrmAttributes attributes, List<SecurityAssociation> olds, List<SecurityAssociation> news)
    {
        var version = XfrmConversions.ToVersion(entry.NewFamily);
        var id = new SaIdentity(old.Id.Spi, XfrmConversions.ToAddress(entry.NewDestinationAddress, version));
        var taken = _context.Database.Sad.Find(id);
        if ((taken is not null && !olds.Contains(taken)) || news.Exists(sa => sa.Id == id))
        {
            return new XfrmError(LinuxError.NoData);
        }

        var algorithms = old.Algorithms.Select(spec => new AlgorithmSpec(spec.Kind, spec.Name, spec.Key, spec.IcvBits)).ToList();
        if (!EspTransformFactory.TryCreate(algorithms, old.UsesEsn, _context.Options.Engine, out var transform, out string? reason))
        {
            AlgorithmParser.Dispose(algorithms);
            return new XfrmError(LinuxError.NoData, reason);
        }

        var sa = new SecurityAssociation
        {
            Id = id,
            Source = XfrmConversions.ToAddress(entry.NewSourceAddress, version),
            State = old.State,
            Transform = transform,
            Algorithms = algorithms,
            ReqId = old.ReqId,
            Mode = old.Mode,
            Flags = old.Flags,
            ExtraFlags = old.ExtraFlags,
            Selector = old.Selector,
            Encapsulation = SaBuilder.ReadEncapsulation(attributes, version) ?? old.Encapsulation,
            TfcPadding = old.TfcPadding,
            Limits = old.Limits,
            KeyManagerSequence = old.KeyManagerSequence,
            ReplayWindowSize = old.ReplayWindowSize,
            ReplayStateIsEsn = old.ReplayStateIsEsn,
            ReplayBitmapWords = old.ReplayBitmapWords,
            Replay = old.Replay,
            CareOfAddress = old.CareOfAddress,
            SaDirection = old.SaDirection,
            MappingMaxAge = old.MappingMaxAge,
            ReplayMaxAge = old.ReplayMaxAge,
            ReplayMaxDifference = old.ReplayMaxDifference,
        };
        sa.OutboundSequence = old.OutboundSequence;
        sa.Usage = old.Usage;
        sa.Dying = old.Dying;
        news.Add(sa);
        return _context.Database.Admission?.Invoke(sa) is { } refusal ? new XfrmError(LinuxError.AddressInUse, refusal) : XfrmError.None;
    }

    // xfrm_policy_migrate; null where no template has the old addresses.
    private static List<PolicyTemplate>? NewTemplates(SecurityPolicy policy, ReadOnlySpan<XfrmUserMigrate> entries)
    {
        bool any = false;
        var templates = new List<PolicyTemplate>();
        foreach (var template in policy.Templates)
        {
            var changed = template;
            foreach (ref readonly var entry in entries)
            {
                if (!Matches(entry, changed))
                {
                    continue;
                }

                any = true;
                var version = XfrmConversions.ToVersion(entry.NewFamily);
                changed = changed with
                {
                    Source = XfrmConversions.ToAddress(entry.NewSourceAddress, version),
                    Destination = XfrmConversions.ToAddress(entry.NewDestinationAddress, version),
                    Family = version,
                };
            }

            templates.Add(changed);
        }

        return any ? templates : null;
    }

    private static bool Matches(in XfrmUserMigrate entry, PolicyTemplate template)
    {
        var version = XfrmConversions.ToVersion(entry.OldFamily);
        return XfrmConversions.ToVersion(entry.NewFamily) != IpVersion.None
            && entry.Mode == (byte)template.Mode && entry.Protocol == template.Protocol && (entry.ReqId == 0 || entry.ReqId == template.ReqId)
            && XfrmConversions.ToAddress(entry.OldDestinationAddress, version) == template.Destination
            && XfrmConversions.ToAddress(entry.OldSourceAddress, version) == template.Source;
    }

    private static SecurityPolicy WithTemplates(SecurityPolicy policy, List<PolicyTemplate> templates)
    {
        var result = new SecurityPolicy
        {
            Selector = policy.Selector,
            Direction = policy.Direction,
            Priority = policy.Priority,
            Action = policy.Action,
            Flags = policy.Flags,
            Share = policy.Share,
            Templates = templates,
            Limits = policy.Limits,
            SoftExpired = policy.SoftExpired,
        };
        result.Usage = policy.Usage;
        return result;
    }

    private void Notify(in XfrmUserPolicyId id, ReadOnlySpan<XfrmUserMigrate> entries, in XfrmAttributes attributes)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.Migrate, 0, 0, 0);
        ref var header = ref writer.Reserve<XfrmUserPolicyId>();
        header.Selector = id.Selector;
        header.Direction = id.Direction;
        if (attributes.Has(XfrmAttribute.KeyManagerAddress))
        {
            writer.Attribute(XfrmAttribute.KeyManagerAddress, attributes.Read<XfrmUserKeyManagerAddress>(XfrmAttribute.KeyManagerAddress));
        }

        if (attributes.Has(XfrmAttribute.Encapsulation))
        {
            writer.Attribute(XfrmAttribute.Encapsulation, attributes.Read<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation));
        }

        writer.ReserveAttribute<XfrmUserPolicyType>(XfrmAttribute.PolicyType).Type = XfrmValue.PolicyTypeMain;
        foreach (ref readonly var entry in entries)
        {
            ref var migrate = ref writer.ReserveAttribute<XfrmUserMigrate>(XfrmAttribute.Migrate);
            migrate = entry;
            migrate.Reserved = 0;
        }

        writer.End();
        _context.Publish(XfrmGroup.Migrate);
    }
}
