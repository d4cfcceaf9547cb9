using Espalier.Ike.Tests.Daemons;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>
/// Two sites, of which the one that initiates stands where <see cref="RoadWarriors"/> has a client: behind the router, which may masquerade it.
/// <code>
///  10.2.0.1 (on carol1) ─── router ─── wan ─── moon ─── lan ─── alice 10.1.0.10
/// </code>
/// </summary>
internal sealed class MovingSites : IDisposable
{
    private const string FarAddress = "10.2.0.1";
    private static readonly Endpoint Moon = RoadWarriors.Gateway with { Selector = "10.1.0.0/16" };
    private static readonly Endpoint Carol = RoadWarriors.Client(1) with { Selector = "10.2.0.0/16" };

    /// <summary>Makes the hosts, starts the daemons and brings the tunnel up.</summary>
    /// <param name="moon">The data plane of the responder.</param>
    /// <param name="carol">The data plane of the initiator.</param>
    /// <param name="masquerade">A NAT in between.</param>
    /// <param name="options">Further lines of the connection.</param>
    public MovingSites(Plane moon, Plane carol, bool masquerade, string options)
    {
        Net = new RoadWarriors(1, masquerade);
        try
        {
            CarolHost.Ip($"address add {FarAddress}/16 dev lo");
            var tunnel = new Connection(Moon, Carol) { Options = options };
            Gateway = Net.Own(new Charon(Net.MoonHost, "moon", moon));
            Gateway.Load(tunnel with { Remote = Carol with { Identity = "%any" } });
            Initiator = Net.Own(new Charon(CarolHost, "carol1", carol));
            Initiator.Load(tunnel.Mirrored);
            Initiator.Initiate(tunnel.Child);
        }
        catch
        {
            Net.Dispose();
            throw;
        }
    }

    /// <summary>The hosts.</summary>
    public RoadWarriors Net { get; }

    /// <summary>The responder.</summary>
    public Charon Gateway { get; }

    /// <summary>The initiator, whose address changes.</summary>
    public Charon Initiator { get; }

    /// <summary>The initiator's host.</summary>
    public NetworkNamespace CarolHost => Net.ClientHosts[0];

    /// <summary>100 pings a second from site to site.</summary>
    public Traffic.PingFlow StartPings() => new(CarolHost, RoadTunnel.Alice, FarAddress);

    /// <summary>A few pings each way arrive.</summary>
    public void Ping()
    {
        CarolHost.Sh($"ping -c 3 -i 0.05 -W 2 -I {FarAddress} {RoadTunnel.Alice}").Expect();
        Net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {FarAddress}").Expect();
    }

    /// <inheritdoc/>
    public void Dispose() => Net.Dispose();
}
