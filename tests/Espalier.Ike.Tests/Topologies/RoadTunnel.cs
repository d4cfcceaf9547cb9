using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>Who stands at which end of a road warrior's tunnel; the other end is kernel-libipsec.</summary>
public enum Road
{
    /// <summary>The gateway, steered by swanctl, is on Espalier.</summary>
    Gateway,

    /// <summary>The client is.</summary>
    Client,

    /// <summary>Algo's server is.</summary>
    Algo,

    /// <summary>Algo's server and its client are.</summary>
    AlgoAndClient,
}

/// <summary>What differs between the tunnels of the tests.</summary>
internal sealed record RoadSettings
{
    /// <summary>A NAT in between.</summary>
    public bool Masquerade { get; init; } = true;

    /// <summary>MOBIKE is offered.</summary>
    public bool Mobike { get; init; } = true;

    /// <summary>Limit of the CHILD_SA at the end that is on Espalier.</summary>
    public Limit? Limit { get; init; }

    /// <summary>Seconds after which both ends ask whether the other is there.</summary>
    public int DpdDelay { get; init; } = 35;

    /// <summary>Further lines for both daemons.</summary>
    public string Daemon { get; init; } = "retransmit_timeout = 0.5\n  retransmit_base = 2\n  retransmit_tries = 3";

    /// <summary>Further keys of Algo's ipsec.conf.</summary>
    public (string Key, string Value)[] IpsecConf { get; init; } = [];

    /// <summary>What the client reaches through the tunnel; null = everything.</summary>
    public string? Far { get; init; }
}

/// <summary>One client of <see cref="RoadWarriors"/>, and its tunnel, which is up.</summary>
internal sealed class RoadTunnel : IDisposable
{
    /// <summary>The host behind the gateway.</summary>
    public const string Alice = "10.1.0.10";

    private readonly bool _algo;

    /// <summary>Makes the hosts, starts the daemons and brings the tunnel up.</summary>
    public RoadTunnel(Road road, RoadSettings? settings = null)
    {
        var wanted = settings ?? new RoadSettings();
        _algo = road is Road.Algo or Road.AlgoAndClient;
        bool clientOnEspalier = road is Road.Client or Road.AlgoAndClient;
        Net = new RoadWarriors(1, wanted.Masquerade);
        try
        {
            var like = _algo ? AlgoServer.Client : RoadWarriors.Warrior;
            like = like with { Options = $"mobike = {(wanted.Mobike ? "yes" : "no")}\n    dpd_delay = {wanted.DpdDelay}s" };
            string limit = wanted.Limit?.Swanctl ?? "";
            Gateway = _algo
                // Its firewall lets nobody begin a conversation with a client, as the pings back do.
                ? AlgoServer.Start(Net, [("dpddelay", $"{wanted.DpdDelay}s"), .. wanted.IpsecConf, .. wanted.Limit?.IpsecConf ?? []], wanted.Daemon, firewall: false)
                : Net.StartGateway(clientOnEspalier ? Plane.Libipsec : Plane.Espalier, like with { ChildOptions = clientOnEspalier ? "" : limit }, new CharonOptions { Settings = wanted.Daemon });
            Client = Net.StartClient(
                1, clientOnEspalier ? Plane.Espalier : Plane.Libipsec, like with { ChildOptions = road == Road.Client ? limit : "" }, _algo ? AlgoServer.Address : null, wanted.Far,
                new CharonOptions { Settings = wanted.Daemon });
            Own = road == Road.Client ? Client : Gateway;
            Client.Initiate("everything");
        }
        catch
        {
            Net.Dispose();
            throw;
        }
    }

    /// <summary>The hosts.</summary>
    public RoadWarriors Net { get; }

    /// <summary>The gateway's daemon.</summary>
    public IIkeDaemon Gateway { get; }

    /// <summary>The client's daemon.</summary>
    public Charon Client { get; }

    /// <summary>The end that is on Espalier; of two, the gateway.</summary>
    public IIkeDaemon Own { get; }

    /// <summary>What the gateway calls the connection.</summary>
    public string NameAtGateway => _algo ? AlgoServer.AllOfIt : "home";

    /// <summary>The client's virtual IPv4 address.</summary>
    public string VirtualAddress => Client.Sa().LocalAddresses.Split(' ').Single(a => a.Contains('.', StringComparison.Ordinal));

    /// <summary>100 pings a second each way.</summary>
    public PingBothWays StartPings() => new(Client.Host, Alice, Net.AliceHost, VirtualAddress);

    /// <summary>A few pings each way arrive.</summary>
    public void Ping()
    {
        Client.Host.Sh($"ping -c 3 -i 0.05 -W 2 {Alice}").Expect();
        Net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {VirtualAddress}").Expect();
    }

    /// <inheritdoc/>
    public void Dispose() => Net.Dispose();
}
