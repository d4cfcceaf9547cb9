using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Clients with virtual addresses of both families, for whom everything goes through the gateway.</summary>
public sealed class RoadWarriorTests
{
    /// <summary>What strongSwan's app for Android proposes for ESP, in its order; kernel-libipsec is inside that app too.</summary>
    private const string Android =
        "aes256gcm16-aes128gcm16-chacha20poly1305-curve25519-ecp384-ecp521-modp3072-modp4096-ecp256-modp8192, " +
        "aes256-aes192-aes128-sha384-sha256-sha512-sha1-curve25519-ecp384-ecp521-modp3072-modp4096-ecp256-modp8192, " +
        "aes256gcm16-aes128gcm16-chacha20poly1305, aes256-aes192-aes128-sha384-sha256-sha512-sha1";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gateway_ThreeAndroidClients_EachHasItsAddressesAndTheWayToTheHostBehind(bool masquerade)
    {
        using var net = new RoadWarriors(3, masquerade);
        using var wire = new WireTap(net.MoonHost, "wan");
        var gateway = net.StartGateway(Plane.Espalier, RoadWarriors.Warrior with { EspProposals = "aes256gcm16-ecp384, aes128gcm16" });
        var clients = Enumerable.Range(1, 3).Select(number => net.StartClient(number, Plane.Libipsec, RoadWarriors.Warrior with { EspProposals = Android, ChildOptions = "rekey_time = 7200s" })).ToList();
        clients.ForEach(client => client.Initiate("everything"));

        Assert.Equal(3, gateway.Children().Count);
        Assert.Equal(6, gateway.Sas().SelectMany(sa => sa.Raw["remote-vips"].Split(' ')).Distinct().Count());
        foreach (var client in clients)
        {
            UseTheTunnel(client, net);
        }

        var child = clients[0].Child();
        Assert.Equal("AES_GCM_16_256", child.Encryption);
        Assert.True(child.Encapsulated);
        wire.Finish().ExpectProtected(udp: true);
    }

    [Theory]
    [InlineData(Plane.Libipsec, false)]
    [InlineData(Plane.Libipsec, true)]
    [InlineData(Plane.Espalier, true)]
    public void Client_OnEspalier_VirtualAddressesAreUsedForEverything(Plane gateway, bool masquerade)
    {
        using var net = new RoadWarriors(1, masquerade);
        using var wire = new WireTap(net.MoonHost, "wan");
        var moon = net.StartGateway(gateway);
        var carol = net.StartClient(1, Plane.Espalier);
        carol.Initiate("everything");

        UseTheTunnel(carol, net);

        wire.Finish().ExpectProtected(udp: true);
        carol.Terminate("home");
        Wait.Until(() => Associations.Count(carol.Espalier!) == 0 && moon.Sas().Count == 0, "no SA is left");
        Assert.DoesNotContain("10.48.", carol.Host.Sh("ip -4 addr").Output, StringComparison.Ordinal);
    }

    /// <summary>Pings and TCP to the host behind the gateway, in both families, without naming a source; and back to the virtual addresses.</summary>
    private static void UseTheTunnel(Charon client, RoadWarriors net)
    {
        string[] addresses = client.Sa().LocalAddresses.Split(' ');
        Assert.Equal(2, addresses.Length);
        foreach (var (far, near) in new[] { ("10.1.0.10", addresses.Single(a => a.Contains('.', StringComparison.Ordinal))), ("fec1::10", addresses.Single(a => a.Contains(':', StringComparison.Ordinal))) })
        {
            client.Host.Sh($"ping -c 3 -i 0.05 -W 2 {far}").Expect();
            net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {near}").Expect();
            Assert.Equal(near, TcpTransfer.BothWays(client.Host, net.AliceHost, far, 1 << 18));
            TcpTransfer.BothWays(net.AliceHost, client.Host, near, 1 << 18);
        }
    }
}
