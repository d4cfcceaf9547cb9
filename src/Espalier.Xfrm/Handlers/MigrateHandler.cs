using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>MIGRATE (xfrm_migrate): verifies the request, finds its policy, has it and its SAs moved by <see cref="Migration"/>, and tells who listens.</summary>
internal sealed class MigrateHandler
{
    private readonly XfrmContext _context;
    private readonly Migration _migration;

    public MigrateHandler(XfrmContext context)
    {
        _context = context;
        _migration = new Migration(context);
    }

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
            if (PolicyVerifier.IsAboutSub(attributes) || FindPolicy(id.Selector, (PolicyDirection)id.Direction) is not { } policy)
            {
                return new XfrmError(LinuxError.NoEntry, "Target policy not found");
            }

            error = _migration.Apply(policy, entries, attributes);
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
            // No policy has an interface or a user.
            return selector.InterfaceIndex == 0 && selector.User == 0 ? _context.Database.Spd.Find(wanted, direction) : null;
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
