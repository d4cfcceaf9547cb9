using System.Globalization;
using Espalier.Ike.Tests.Daemons;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>
/// Clients behind a router that may masquerade them, a gateway with a host behind it. rp_filter is strict everywhere.
/// <code>
///  carol1 10.0.1.2 ─── lan1 ─┐
///  carol2 10.0.2.2 ─── lan2 ─┼─ router ─── wan ─── moon ─── lan ─── alice
///  carol3 10.0.3.2 ─── lan3 ─┘    192.0.2.254   192.0.2.1  10.1.0.1     10.1.0.10
///                                                          fec1::1      fec1::10
/// </code>
/// Clients get virtual addresses of 10.48.0.0/16 and 2001:db8:4160::/48; without a tunnel they have no way to alice at all.
/// </summary>
internal sealed class RoadWarriors : IDisposable
{
    /// <summary>Identity and address of the gateway; everything behind it.</summary>
    public static readonly Endpoint Gateway = new("moon.espalier.test", "192.0.2.1", "0.0.0.0/0,::/0");

    /// <summary>Pools of virtual addresses, for swanctl.conf.</summary>
    public const string Pools = """
        pools {
          four {
            addrs = 10.48.0.0/16
          }
          six {
            addrs = 2001:db8:4160::/48
          }
        }
        """;

    private readonly List<IDisposable> _owned = [];

    /// <summary>Makes the hosts; daemons are started by <see cref="StartClient"/> and by the test.</summary>
    public RoadWarriors(int clients, bool masquerade)
    {
        Requirements.Need("charon-systemd", "swanctl", "tcpdump", "ping", "nft");
        Router = Add("router", forwards: true);
        MoonHost = Add("moon", forwards: true);
        AliceHost = Add("alice");
        Router.LinkTo(MoonHost, "wan", ["192.0.2.254/24"], ["192.0.2.1/24"]);
        MoonHost.LinkTo(AliceHost, "lan", ["10.1.0.1/16", "fec1::1/16"], ["10.1.0.10/16", "fec1::10/16"]);
        MoonHost.Ip("route add default via 192.0.2.254");
        AliceHost.Ip("route add default via 10.1.0.1");
        AliceHost.Ip("-6 route add default via fec1::1");
        ClientHosts = [.. Enumerable.Range(1, clients).Select(AddClient)];
        Router.Sysctl("ipv4/conf/all/promote_secondaries", "1");
        if (masquerade)
        {
            Masquerade("40000-40999");
        }
    }

    /// <summary>The clients.</summary>
    public IReadOnlyList<NetworkNamespace> ClientHosts { get; }

    /// <summary>Between the clients and the gateway.</summary>
    public NetworkNamespace Router { get; }

    /// <summary>The gateway.</summary>
    public NetworkNamespace MoonHost { get; }

    /// <summary>Behind the gateway.</summary>
    public NetworkNamespace AliceHost { get; }

    /// <summary>Identity and address of a client, from 1.</summary>
    public static Endpoint Client(int number) => new(string.Create(CultureInfo.InvariantCulture, $"carol{number}.espalier.test"), "%any");

    /// <summary>Starts a client's daemon and loads its connection to the gateway; it asks for virtual addresses of both families.</summary>
    public Charon StartClient(int number, Plane plane, Connection? like = null, string? gateway = null, string? far = null, CharonOptions? options = null)
    {
        var client = Own(new Charon(ClientHosts[number - 1], $"carol{number}", plane, options));
        var remote = Gateway with { Identity = gateway ?? Gateway.Identity, Selector = far ?? Gateway.Selector };
        client.Load((like ?? Warrior) with { Local = Client(number), Remote = remote, OwnOptions = "vips = 0.0.0.0, ::" });
        return client;
    }

    /// <summary>Starts the gateway's charon, for any client that has a certificate.</summary>
    public Charon StartGateway(Plane plane, Connection? like = null, CharonOptions? options = null)
    {
        var gateway = Own(new Charon(MoonHost, "moon", plane, options));
        gateway.Load((like ?? Warrior) with { Local = Gateway, Remote = new Endpoint("%any", "%any"), OwnOptions = "pools = four, six\n    unique = never" }, Pools);
        return gateway;
    }

    /// <summary>A connection for everything, with the defaults of the tests.</summary>
    public static Connection Warrior => new(Gateway, Client(1)) { Name = "home", Child = "everything", Options = "mobike = yes" };

    /// <summary>The router's NAT: sources become its own address, and ports of a range.</summary>
    public void Masquerade(string ports)
    {
        Load(Router, $$"""
            table ip nat
            flush table ip nat
            table ip nat {
              chain postrouting {
                type nat hook postrouting priority srcnat
                oifname wan meta l4proto udp masquerade to :{{ports}}
                oifname wan masquerade
              }
            }

            """);
    }

    /// <summary>Loads rules of nftables.</summary>
    public void Load(NetworkNamespace host, string rules) => host.Sh($"nft -f {Own(new TemporaryFolder("rules")).Write("rules", rules)}").Expect();

    /// <summary>The router gets another address, as from a provider, and another range of ports: all mappings end.</summary>
    public void ChangeMapping()
    {
        Masquerade("50000-50999");
        Router.Ip("address add 192.0.2.253/24 dev wan");
        Router.Ip("address del 192.0.2.254/24 dev wan");
        MoonHost.Ip("route replace default via 192.0.2.253");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }
    }

    /// <summary>Disposes it with the topology, last in first out.</summary>
    public T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }

    private NetworkNamespace AddClient(int number)
    {
        var client = Add($"carol{number}");
        client.LinkTo(Router, $"lan{number}", [$"10.0.{number}.2/24"], [$"10.0.{number}.1/24"]);
        client.Ip($"route add default via 10.0.{number}.1");
        return client;
    }

    private NetworkNamespace Add(string role, bool forwards = false) => Own(NetworkNamespace.CreateStrict(role, forwards));
}
