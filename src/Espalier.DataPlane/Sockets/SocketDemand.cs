using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// Keeps the outer sockets that the SAs need: opens one before the first SA with its version and port is added (so that NEWSA can be refused
/// if that fails), and gives it up after the last one is removed. Sockets opened at start stay, and those of IKE daemons until these give them up.
/// Control thread only.
/// </summary>
internal sealed class SocketDemand : IDisposable
{
    private readonly IpsecDatabase _database;
    private readonly OuterSocketTable _table;
    private readonly ILocalAddresses _localAddresses;
    private readonly Func<SecurityAssociation, string?> _admit;
    private readonly HashSet<SocketKey> _permanent = [];
    private readonly Dictionary<SocketKey, int> _users = [];
    private readonly Dictionary<SecurityAssociation, SocketKey[]> _keysOf = [];
    private readonly Dictionary<(InternetAddress Local, ushort Port), int> _held = [];

    /// <summary>Does nothing before <see cref="Attach"/>.</summary>
    public SocketDemand(IpsecDatabase database, OuterSocketTable table, ILocalAddresses localAddresses)
    {
        _database = database;
        _table = table;
        _localAddresses = localAddresses;
        _admit = Admit;
    }

    /// <summary>Told why a socket could not be opened for an SA that was added without being asked for first.</summary>
    public Action<SecurityAssociation, string>? Failed { get; set; }

    /// <summary>Listens to the SAD, and opens what the SAs in it need. Workers frozen.</summary>
    public void Attach()
    {
        _database.Admission = _admit;
        _database.Sad.Added += OnAdded;
        _database.Sad.Removed += OnRemoved;
        foreach (var association in _database.Sad.All)
        {
            OnAdded(association);
        }
    }

    /// <summary>Opens a socket that stays until the end.</summary>
    /// <returns>Null, or why it cannot be opened.</returns>
    public string? OpenPermanent(IpVersion version, ushort port)
    {
        string? error = _table.Open(version, port);
        if (error is null)
        {
            _permanent.Add(new SocketKey(version, port));
        }

        return error;
    }

    /// <summary>Opens a port for an IKE daemon's socket that is bound to <paramref name="local"/> (0.0.0.0 or :: = all). As often as it is given up.</summary>
    /// <returns>Null, or why it cannot be had.</returns>
    public string? Hold(InternetAddress local, ushort port)
    {
        _table.EndAdmission(local.Version, port);
        var key = new SocketKey(local.Version, port);
        if (_table.Open(key.Version, key.Port) is { } error)
        {
            return error;
        }

        _users[key] = _users.GetValueOrDefault(key) + 1;
        if (!local.IsUnspecified && _table.OpenAddress(local, port) is { } refused)
        {
            Release([key]);
            return refused;
        }

        _held[(local, port)] = _held.GetValueOrDefault((local, port)) + 1;
        return null;
    }

    /// <summary>Gives up what <see cref="Hold"/> opened; what was not opened is none of its business. Workers frozen.</summary>
    public void GiveUp(InternetAddress local, ushort port)
    {
        if (!_held.TryGetValue((local, port), out int count))
        {
            return;
        }

        _held[(local, port)] = count - 1;
        if (count == 1)
        {
            _held.Remove((local, port));
            if (!local.IsUnspecified)
            {
                _table.RetireAddress(local, port);
            }
        }

        Release([new SocketKey(local.Version, port)]);
    }

    /// <summary>Addresses of this host came or went: SAs that were taken for outbound may be inbound, or the other way round. Workers frozen.</summary>
    public void FollowAddresses()
    {
        foreach (var (association, keys) in _keysOf.ToArray())
        {
            if (!KeysOf(association).AsSpan().SequenceEqual(keys) && Admit(association) is { } error)
            {
                Failed?.Invoke(association, error);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _database.Sad.Added -= OnAdded;
        _database.Sad.Removed -= OnRemoved;
        if (ReferenceEquals(_database.Admission, _admit))
        {
            _database.Admission = null;
        }
    }

    // Also asked when UPDSA has changed the ports of an SA that stands in the SAD.
    private string? Admit(SecurityAssociation association)
    {
        if (association.Transform is null)
        {
            return null;
        }

        var keys = KeysOf(association);
        foreach (var key in keys)
        {
            if (_table.Open(key.Version, key.Port) is { } error)
            {
                CloseUnused(keys);
                return error;
            }
        }

        if (_keysOf.TryGetValue(association, out var before) && !before.AsSpan().SequenceEqual(keys))
        {
            Register(association, keys);
            Release(before);
        }

        return null;
    }

    private void OnAdded(SecurityAssociation association)
    {
        if (Admit(association) is { } error)
        {
            Failed?.Invoke(association, error);
        }

        if (association.Transform is not null)
        {
            Register(association, KeysOf(association));
        }
    }

    private void OnRemoved(SecurityAssociation association)
    {
        if (_keysOf.RemoveAndShrink(association, out var keys))
        {
            Release(keys);
        }
    }

    private void Register(SecurityAssociation association, SocketKey[] keys)
    {
        _keysOf[association] = keys;
        foreach (var key in keys)
        {
            _users[key] = _users.GetValueOrDefault(key) + 1;
        }
    }

    private void Release(SocketKey[] keys)
    {
        foreach (var key in keys)
        {
            int left = _users.GetValueOrDefault(key) - 1;
            if (left > 0)
            {
                _users[key] = left;
                continue;
            }

            _users.RemoveAndShrink(key);
        }

        CloseUnused(keys);
    }

    private void CloseUnused(SocketKey[] keys)
    {
        foreach (var key in keys)
        {
            if (!_users.ContainsKey(key) && !_permanent.Contains(key))
            {
                _table.Retire(key.Version, key.Port);
            }
        }
    }

    // An inbound SA is received on its destination port, an outbound SA is sent from its source port. An SA between two addresses of this
    // host is both, unless its direction was given; one between two of other hosts (the address is not configured yet) is taken for outbound, until it is.
    private SocketKey[] KeysOf(SecurityAssociation association)
    {
        var version = association.Source.Version;
        if (association.Encapsulation is not { } encapsulation)
        {
            return [new SocketKey(version, 0)];
        }

        bool isDirected = association.SaDirection != 0;
        if (isDirected ? association.SaDirection == SecurityAssociation.DirectionOut : !_localAddresses.IsLocal(association.Id.Destination))
        {
            return [new SocketKey(version, encapsulation.SourcePort)];
        }

        return !isDirected && _localAddresses.IsLocal(association.Source) && encapsulation.SourcePort != encapsulation.DestinationPort
            ? [new SocketKey(version, encapsulation.DestinationPort), new SocketKey(version, encapsulation.SourcePort)]
            : [new SocketKey(version, encapsulation.DestinationPort)];
    }

    private readonly record struct SocketKey(IpVersion Version, ushort Port);
}
