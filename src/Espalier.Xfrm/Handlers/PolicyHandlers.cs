using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// NEWPOLICY, UPDPOLICY, GETPOLICY, DELPOLICY, FLUSHPOLICY and POLEXPIRE, as the kernel's xfrm_add_policy, xfrm_get_policy, xfrm_dump_policy,
/// xfrm_flush_policy and xfrm_add_pol_expire.
/// </summary>
internal sealed class PolicyHandlers
{
    private readonly XfrmContext _context;

    public PolicyHandlers(XfrmContext context) => _context = context;

    private SecurityPolicyDatabase Spd => _context.Database.Spd;

    /// <summary>NEWPOLICY (must be new) and UPDPOLICY (new or in place of the one with the same selector and direction).</summary>
    public XfrmError Add(in XfrmRequest request)
    {
        var info = request.Body<XfrmUserPolicyInfo>();
        var error = PolicyVerifier.Verify(info, request, out var templates);
        if (error.Failed)
        {
            return error;
        }

        var policy = new SecurityPolicy
        {
            Selector = XfrmConversions.ToSelector(info.Selector, XfrmConversions.ToVersion(info.Selector.Family)),
            Direction = (PolicyDirection)info.Direction,
            Priority = info.Priority,
            Index = info.Index,
            Action = (PolicyAction)info.Action,
            Flags = info.Flags,
            Share = info.Share,
            Templates = templates,
            Limits = XfrmConversions.ToLimits(info.Limits),
        };
        policy.Usage.AddTime = _context.Now;
        using (_context.Database.Freeze())
        {
            if (request.Type == XfrmMessage.UpdatePolicy)
            {
                Spd.AddOrReplace(policy);
            }
            else if (!Spd.TryAdd(policy))
            {
                return new XfrmError(LinuxError.Exists);
            }

            var writer = _context.Writer;
            writer.Begin(request.Type, 0, request.Header.Sequence, request.Header.PortId);
            PolicyWriter.Fill(ref writer.Reserve<XfrmUserPolicyInfo>(), policy);
            PolicyWriter.WriteAttributes(writer, policy);
            writer.End();
        }

        _context.Publish(XfrmGroup.Policy);
        return XfrmError.None;
    }

    /// <summary>GETPOLICY of one policy, and DELPOLICY.</summary>
    public XfrmError GetOrDelete(in XfrmRequest request)
    {
        var id = request.Body<XfrmUserPolicyId>();
        var error = Lookup(id.Selector, id.Index, id.Direction, request, out var policy);
        if (error.Failed)
        {
            return error;
        }

        if (request.Type == XfrmMessage.DeletePolicy)
        {
            using (_context.Database.Freeze())
            {
                Spd.Remove(policy!);
                WriteDeleted(policy!, byIndex: id.Index != 0, request.Header.Sequence, request.Header.PortId);
            }

            _context.Publish(XfrmGroup.Policy);
            return XfrmError.None;
        }

        using (_context.Database.Freeze())
        {
            var writer = _context.Writer;
            writer.Begin(XfrmMessage.NewPolicy, 0, request.Header.Sequence, request.Header.PortId);
            PolicyWriter.Fill(ref writer.Reserve<XfrmUserPolicyInfo>(), policy!);
            PolicyWriter.WriteAttributes(writer, policy!);
            writer.End();
        }

        _context.Reply(request);
        return XfrmError.None;
    }

    /// <summary>GETPOLICY with NLM_F_DUMP.</summary>
    public void Dump(in XfrmRequest request) =>
        request.Peer.StartDump(new PolicyDump(Spd, request.Header.Sequence, request.Header.PortId));

    /// <summary>FLUSHPOLICY.</summary>
    public XfrmError Flush(in XfrmRequest request)
    {
        var error = PolicyVerifier.VerifyType(request.Attributes);
        if (error.Failed)
        {
            return error;
        }

        using (_context.Database.Freeze())
        {
            var policies = PolicyVerifier.IsAboutSub(request.Attributes) ? [] : Spd.Policies.ToArray();
            if (policies.Length == 0)
            {
                return XfrmError.None;
            }

            foreach (var policy in policies)
            {
                Spd.Remove(policy);
            }
        }

        var writer = _context.Writer;
        writer.Begin(XfrmMessage.FlushPolicy, 0, request.Header.Sequence, request.Header.PortId);
        writer.ReserveAttribute<XfrmUserPolicyType>(XfrmAttribute.PolicyType).Type = XfrmValue.PolicyTypeMain;
        writer.End();
        _context.Publish(XfrmGroup.Policy);
        return XfrmError.None;
    }

    /// <summary>POLEXPIRE from a key manager: hard removes the policy; either way POLEXPIRE is sent to all.</summary>
    public XfrmError Expire(in XfrmRequest request)
    {
        var expire = request.Body<XfrmUserPolicyExpire>();
        var error = Lookup(expire.Policy.Selector, expire.Policy.Index, expire.Policy.Direction, request, out var policy);
        if (error.Failed)
        {
            return error;
        }

        using (_context.Database.Freeze())
        {
            if (expire.Hard != 0)
            {
                Spd.Remove(policy!);
            }

            NotifyExpired(policy!, expire.Hard != 0, request.Header.PortId);
        }

        return XfrmError.None;
    }

    /// <summary>Sends POLEXPIRE. Workers frozen.</summary>
    public void NotifyExpired(SecurityPolicy policy, bool hard, uint portId)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.PolicyExpire, 0, 0, portId);
        ref var expire = ref writer.Reserve<XfrmUserPolicyExpire>();
        PolicyWriter.Fill(ref expire.Policy, policy);
        expire.Hard = hard ? (byte)1 : (byte)0;
        PolicyWriter.WriteAttributes(writer, policy);
        writer.End();
        _context.Publish(XfrmGroup.Expire);
    }

    // By index where one is given, else by the exact selector. Espalier's policies have no mark, no if_id and no type but main, so others are not found.
    private XfrmError Lookup(in XfrmSelector selector, uint index, byte direction, in XfrmRequest request, out SecurityPolicy? policy)
    {
        policy = null;
        var error = PolicyVerifier.VerifyType(request.Attributes);
        error = error.Failed ? error : PolicyVerifier.VerifyDirection(direction);
        error = error.Failed || index != 0 ? error : SaVerifier.VerifySecurityContext(request.Attributes);
        if (error.Failed)
        {
            return error;
        }

        if (!request.HasMark && !request.HasInterfaceId && !PolicyVerifier.IsAboutSub(request.Attributes) && (index != 0 || !request.Attributes.Has(XfrmAttribute.SecurityContext)))
        {
            policy = index != 0
                ? Spd.FindByIndex(index, (PolicyDirection)direction)
                : FindBySelector(selector, (PolicyDirection)direction);
        }

        return policy is null ? new XfrmError(LinuxError.NoEntry) : XfrmError.None;
    }

    private SecurityPolicy? FindBySelector(in XfrmSelector selector, PolicyDirection direction)
    {
        var version = XfrmConversions.ToVersion(selector.Family);
        return version == Wire.Addresses.IpVersion.None || selector.InterfaceIndex != 0 || selector.User != 0
            ? null : Spd.Find(XfrmConversions.ToSelector(selector, version), direction);
    }

    private void WriteDeleted(SecurityPolicy policy, bool byIndex, uint sequence, uint portId)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.DeletePolicy, 0, sequence, portId);
        ref var id = ref writer.Reserve<XfrmUserPolicyId>();
        id.Direction = (byte)policy.Direction;
        if (byIndex)
        {
            id.Index = policy.Index;
        }
        else
        {
            XfrmConversions.FromSelector(policy.Selector, ref id.Selector);
        }

        PolicyWriter.Fill(ref writer.ReserveAttribute<XfrmUserPolicyInfo>(XfrmAttribute.Policy), policy);
        PolicyWriter.WriteAttributes(writer, policy);
        writer.End();
    }
}
