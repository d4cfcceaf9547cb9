using Espalier.Ipsec;
using Espalier.Ipsec.Sad;

namespace Espalier.Routing.Guard;

/// <summary>UDP ports whose packets rightly come in clear: those of IKE, and those on which SAs are encapsulated. Owned by the control thread.</summary>
internal sealed class ExemptPorts(RoutingOptions options, ClearGuard guard)
{
    private readonly Dictionary<SecurityAssociation, ushort> _portOf = [];
    private readonly Dictionary<ushort, int> _users = [];

    /// <summary>Tells the guard all of them.</summary>
    internal void Publish() => guard.SetPorts([.. options.IkePorts, .. _users.Keys]);

    /// <summary>The SA's ESP arrives on this port, and on no other any more.</summary>
    internal void Set(SecurityAssociation association, ushort port)
    {
        if (_portOf.TryGetValue(association, out ushort before) && before == port)
        {
            return;
        }

        Remove(association);
        _portOf.Add(association, port);
        int users = _users.GetValueOrDefault(port);
        _users[port] = users + 1;
        if (users == 0)
        {
            Publish();
        }
    }

    /// <summary>The SA is gone.</summary>
    internal void Remove(SecurityAssociation association)
    {
        if (_portOf.RemoveAndShrink(association, out ushort port) && --_users[port] == 0)
        {
            _users.Remove(port);
            Publish();
        }
    }
}
