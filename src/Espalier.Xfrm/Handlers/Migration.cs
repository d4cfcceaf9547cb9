using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// Gives a policy's templates and its SAs new outer addresses. All or nothing: SAs and policy are changed only when every step can be done.
/// <code>
/// templates with the old addresses ─▶ new ones       (xfrm_policy_migrate)
/// SA at the old addresses ─▶ its clone at the new    (xfrm_state_clone_and_setup) ─▶ is it admitted? ─▶ all old ones out, all clones in
/// </code>
/// </summary>
internal sealed class Migration(XfrmContext context)
{
    /// <summary>Changes the policy's templates and the SAs that entries name. The database is frozen.</summary>
    /// <returns>ENODATA where no template has the old addresses, or an SA cannot be had at the new ones: then nothing has changed.</returns>
    public XfrmError Apply(SecurityPolicy policy, ReadOnlySpan<XfrmUserMigrate> entries, in XfrmAttributes attributes)
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

            // As in the kernel, an entry may move on what one before it has just moved.
            if (Find(news, entry) is { } moved)
            {
                news.Remove(moved);
                error = Clone(moved, entry, attributes, olds, news);
                moved.Dispose();
            }
            else if (Find(context.Database.Sad.All, entry) is { } old)
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

        var sad = context.Database.Sad;
        olds.ForEach(sa => sad.Remove(sa));
        news.ForEach(sa => sad.TryAdd(sa));
        context.Database.Spd.AddOrReplace(WithTemplates(policy, templates));
        return XfrmError.None;
    }

    // xfrm_migrate_state_find. The kernel takes the newest of several, a larval one too, which it then cannot move: here only those that can be are looked at.
    private static SecurityAssociation? Find(IEnumerable<SecurityAssociation> associations, in XfrmUserMigrate entry)
    {
        var version = XfrmConversions.ToVersion(entry.OldFamily);
        var source = XfrmConversions.ToAddress(entry.OldSourceAddress, version);
        var destination = XfrmConversions.ToAddress(entry.OldDestinationAddress, version);
        if (entry.Protocol != XfrmValue.ProtocolEsp || version == IpVersion.None)
        {
            return null;
        }

        SecurityAssociation? found = null;
        foreach (var sa in associations)
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
        var taken = context.Database.Sad.Find(id);
        if (version == IpVersion.None || (taken is not null && !olds.Contains(taken)) || news.Exists(sa => sa.Id == id))
        {
            return new XfrmError(LinuxError.NoData);
        }

        var algorithms = old.Algorithms.Select(spec => new AlgorithmSpec(spec.Kind, spec.Name, spec.Key, spec.IcvBits)).ToList();
        if (!EspTransformFactory.TryCreate(algorithms, old.UsesEsn, context.Options.Engine, out var transform, out string? reason))
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
        return SaInstaller.Admit(context.Database, sa);
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

    // migrate_tmpl_match, which compares addresses of a family that it does not know as those of IPv4.
    private static bool Matches(in XfrmUserMigrate entry, PolicyTemplate template)
    {
        var version = entry.OldFamily == XfrmValue.FamilyIPv6 ? IpVersion.IPv6 : IpVersion.IPv4;
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
}
