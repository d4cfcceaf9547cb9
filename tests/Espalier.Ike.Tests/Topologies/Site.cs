using Espalier.Ike.Tests.Daemons;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>
/// The topology of strongSwan's own tests: two gateways with a charon each, and a host behind each of them. rp_filter is strict everywhere.
/// <code>
///  alice ─── lan ─── moon ════════ wan ════════ sun ─── lan ─── bob
///  10.1.0.10    10.1.0.1  192.168.0.1   192.168.0.2  10.2.0.1   10.2.0.10
///  fec1::10     fec1::1   fec0::1           fec0::2  fec2::1    fec2::10
/// </code>
/// The gateways know each other's networks without the tunnel too, so that what leaves in clear is seen.
/// </summary>
internal sealed class Site : IDisposable
{
    /// <summary>The first gateway.</summary>
    public static readonly Endpoint MoonEnd = new("moon.espalier.test", "192.168.0.1", "10.1.0.0/16");

    /// <summary>The second gateway.</summary>
    public static readonly Endpoint SunEnd = new("sun.espalier.test", "192.168.0.2", "10.2.0.0/16");

    private readonly List<IDisposable> _owned = [];

    /// <summary>Makes the hosts and starts the daemons.</summary>
    public Site(Plane moon, Plane sun, CharonOptions? moonOptions = null, CharonOptions? sunOptions = null)
    {
        Requirements.Need("charon-systemd", "swanctl", "tcpdump", "ping");
        AliceHost = Add("alice");
        MoonHost = Add("moon", forwards: true);
        SunHost = Add("sun", forwards: true);
        BobHost = Add("bob");
        AliceHost.LinkTo(MoonHost, "lan", ["10.1.0.10/16", "fec1::10/16"], ["10.1.0.1/16", "fec1::1/16"]);
        MoonHost.LinkTo(SunHost, "wan", ["192.168.0.1/24", "fec0::1/16"], ["192.168.0.2/24", "fec0::2/16"]);
        SunHost.LinkTo(BobHost, "lan", ["10.2.0.1/16", "fec2::1/16"], ["10.2.0.10/16", "fec2::10/16"]);
        Routes(AliceHost, "10.1.0.1", "fec1::1");
        Routes(BobHost, "10.2.0.1", "fec2::1");
        MoonHost.Ip("route add 10.2.0.0/16 via 192.168.0.2");
        MoonHost.Ip("route add fec2::/16 via fec0::2");
        SunHost.Ip("route add 10.1.0.0/16 via 192.168.0.1");
        SunHost.Ip("route add fec1::/16 via fec0::1");
        try
        {
            Moon = Own(new Charon(MoonHost, "moon", moon, moonOptions));
            Sun = Own(new Charon(SunHost, "sun", sun, sunOptions));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Host behind moon.</summary>
    public NetworkNamespace AliceHost { get; }

    /// <summary>The first gateway.</summary>
    public NetworkNamespace MoonHost { get; }

    /// <summary>The second gateway.</summary>
    public NetworkNamespace SunHost { get; }

    /// <summary>Host behind sun.</summary>
    public NetworkNamespace BobHost { get; }

    /// <summary>The first gateway's daemon.</summary>
    public Charon Moon { get; }

    /// <summary>The second gateway's daemon.</summary>
    public Charon Sun { get; }

    /// <summary>Net to net, certificates, AES-128-GCM.</summary>
    public static Connection NetToNet => new(MoonEnd, SunEnd);

    /// <summary>Loads a connection, seen from moon, at both gateways.</summary>
    public void Load(Connection connection)
    {
        Sun.Load(connection.Mirrored);
        Moon.Load(connection);
    }

    /// <summary>Loads it and brings it up from moon.</summary>
    public void Connect(Connection connection)
    {
        Load(connection);
        Moon.Initiate(connection.Child);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }
    }

    private static void Routes(NetworkNamespace host, string via4, string via6)
    {
        host.Ip($"route add default via {via4}");
        host.Ip($"-6 route add default via {via6}");
    }

    private NetworkNamespace Add(string role, bool forwards = false) => Own(NetworkNamespace.CreateStrict(role, forwards));

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
