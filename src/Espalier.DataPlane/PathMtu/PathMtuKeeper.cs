using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.PathMtu;

/// <summary>
/// Keeps the outer path MTUs: what PathMtu events reported, by outer source and destination, so that the SAs of a rekey know it too; forgotten after
/// its age, because a path may have become wider (RFC 1191 §6.3, RFC 8201 §4: ten minutes). The link's own MTU bounds it. Writes
/// <see cref="SecurityAssociation.PathMtu"/>. Control thread only; the time is the database's clock.
/// </summary>
public sealed class PathMtuKeeper : IDisposable
{
    /// <summary>How long a path MTU that was learnt is believed.</summary>
    public static readonly TimeSpan DefaultAge = TimeSpan.FromMinutes(10);

    private readonly IpsecDatabase _database;
    private readonly Func<InternetAddress, InternetAddress, int> _linkMtu;
    private readonly TimeSpan _age;
    private readonly Dictionary<(InternetAddress Source, InternetAddress Destination), (int Mtu, DateTimeOffset Until)> _learnt = [];

    /// <summary>Listens to the SAD.</summary>
    /// <param name="database">SAD and clock.</param>
    /// <param name="linkMtu">MTU of the interface that packets from the first to the second address leave by, 0 = unknown; null = always unknown.</param>
    /// <param name="age">See <see cref="DefaultAge"/>.</param>
    public PathMtuKeeper(IpsecDatabase database, Func<InternetAddress, InternetAddress, int>? linkMtu = null, TimeSpan? age = null)
    {
        ArgumentNullException.ThrowIfNull(database);
        _database = database;
        _linkMtu = linkMtu ?? (static (_, _) => 0);
        _age = age ?? DefaultAge;
        database.Sad.Added += Apply;
    }

    /// <summary>Raised on the control thread, workers frozen, when the path MTU of an SA changed: what follows from it (the TUN's MTU) must follow.</summary>
    public event Action<SecurityAssociation>? Changed;

    /// <summary>When the next path MTU ages, or null.</summary>
    public DateTimeOffset? NextExpiry => _learnt.Count == 0 ? null : _learnt.Values.Min(entry => entry.Until);

    /// <summary>Takes a <see cref="IpsecEventKind.PathMtu"/> event; others are not for it.</summary>
    public void Handle(in IpsecEvent value)
    {
        if (value is { Kind: IpsecEventKind.PathMtu, Association: { } association, PathMtu: > 0 })
        {
            _learnt[KeyOf(association)] = (value.PathMtu, _database.Clock.GetUtcNow() + _age);
            ApplyToAll();
        }
    }

    /// <summary>Forgets what has aged. To be called at <see cref="NextExpiry"/>.</summary>
    public void Expire()
    {
        var now = _database.Clock.GetUtcNow();
        bool any = false;
        foreach (var (key, entry) in _learnt)
        {
            if (entry.Until <= now)
            {
                any |= _learnt.Remove(key);
            }
        }

        if (any)
        {
            ApplyToAll();
        }
    }

    /// <summary>To be called when links or routes changed, so that link MTUs are asked for again.</summary>
    public void LinksChanged() => ApplyToAll();

    /// <inheritdoc/>
    public void Dispose() => _database.Sad.Added -= Apply;

    private static (InternetAddress Source, InternetAddress Destination) KeyOf(SecurityAssociation association) =>
        (association.Source, association.Id.Destination);

    private void ApplyToAll()
    {
        using var frozen = _database.Freeze();
        foreach (var association in _database.Sad.All)
        {
            Apply(association);
        }
    }

    private void Apply(SecurityAssociation association)
    {
        int link = _linkMtu(association.Source, association.Id.Destination);
        int learnt = _learnt.TryGetValue(KeyOf(association), out var entry) ? entry.Mtu : 0;
        int mtu = link == 0 || learnt == 0 ? Math.Max(link, learnt) : Math.Min(link, learnt);
        if (mtu != association.PathMtu)
        {
            association.PathMtu = mtu;
            Changed?.Invoke(association);
        }
    }
}
