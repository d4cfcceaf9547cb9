using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>A dump of the SPD.</summary>
internal sealed class PolicyDump : XfrmDump
{
    private readonly SecurityPolicyDatabase _database;
    private readonly SecurityPolicy[] _policies;
    private int _next;

    public PolicyDump(SecurityPolicyDatabase database, uint sequence, uint portId)
        : base(sequence, portId)
    {
        _database = database;
        _policies = [.. database.Policies];
        Array.Reverse(_policies);
    }

    /// <inheritdoc/>
    protected override XfrmMessage MessageType => XfrmMessage.NewPolicy;

    /// <inheritdoc/>
    protected override bool WriteCurrent(NetlinkWriter writer)
    {
        // The index stays when a policy is replaced, and is nobody's when it is removed.
        var policy = _next < _policies.Length ? _database.FindByIndex(_policies[_next].Index, _policies[_next].Direction) : null;
        if (policy is null)
        {
            return false;
        }

        PolicyWriter.Fill(ref writer.Reserve<XfrmUserPolicyInfo>(), policy);
        PolicyWriter.WriteAttributes(writer, policy);
        return true;
    }

    /// <inheritdoc/>
    protected override bool MoveNext() => ++_next < _policies.Length;
}
