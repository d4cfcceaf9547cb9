using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Io.Netlink;
using Espalier.Io.Sockets;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>
/// A data plane that shares port 4500 with an IKE daemon, and what it talks to, in network namespaces:
/// <code>
///   host 10.44.0.1, 10.44.0.11, fd44::1, fd44::11 ──wan── router ──far, MTU 1300── outside 10.45.0.2, fd45::2
///     data plane, its TUN a socket pair                                            inner networks 10.2.0.0/16 here, 10.1.0.0/16 there
/// </code>
/// </summary>
internal sealed class SharedPortHost : IDisposable
{
    public const ushort Port = 4500;
    public const uint RelayMark = 0x24550;
    public const int FarMtu = 1300;

    private readonly LoopbackRelay _relay;
    private readonly SocketPairTunnelDevice _inside;
    private readonly SocketPairTunnelDevice _application;
    private readonly PacketBatch _batch = new(1, 4096, 0);

    public SharedPortHost(bool receiveOffload = true)
    {
        Host = NetworkNamespace.Create("host");
        Router = NetworkNamespace.Create("router");
        Outside = NetworkNamespace.Create("outside");
        Host.LinkTo(Router, "wan", ["10.44.0.1/24", "10.44.0.11/24", "fd44::1/64", "fd44::11/64"], ["10.44.0.2/24", "fd44::2/64"]);
        Router.LinkTo(Outside, "far", ["10.45.0.1/24", "fd45::1/64"], ["10.45.0.2/24", "fd45::2/64"], FarMtu);
        Router.Sysctl("ipv4/ip_forward", "1");
        Router.Sysctl("ipv6/conf/all/forwarding", "1");
        foreach (var (ns, router4, router6) in new[] { (Host, "10.44.0.2", "fd44::2"), (Outside, "10.45.0.1", "fd45::1") })
        {
            ns.Ip($"route add default via {router4}");
            ns.Ip($"-6 route add default via {router6}");
        }

        (_inside, _application) = SocketPairTunnelDevice.CreatePair();
        _relay = Host.Run(() => LoopbackRelay.Open(RelayMark));
        Sockets = new KernelOuterSocketFactory(mark: 0) { SharesPorts = true, ReceiveOffload = receiveOffload };
        DataPlane = new DataPlaneHost(Database, new DataPlaneDevices(_inside, Sockets, null, null, _relay), Local, new DataPlaneOptions());
        foreach (string address in new[] { "10.44.0.1", "10.44.0.11", "fd44::1", "fd44::11", "10.2.0.1" })
        {
            Local.Addresses.Add(InternetAddress.Parse(address));
        }
    }

    public NetworkNamespace Host { get; }

    public NetworkNamespace Router { get; }

    public NetworkNamespace Outside { get; }

    public IpsecDatabase Database { get; } = new();

    public LocalAddressSet Local { get; } = new();

    public KernelOuterSocketFactory Sockets { get; }

    public DataPlaneHost DataPlane { get; }

    public static InternetAddress Any(InternetAddress like) => new(like.Version, UInt128.Zero);

    /// <summary>Starts it, with an inbound and an outbound SA for each pair of addresses.</summary>
    public SharedPortHost Start()
    {
        FollowInterfaces();
        Host.Run(DataPlane.Start);
        return this;
    }

    /// <summary>An IKE daemon's socket, bound and told to the data plane as the preload library does it.</summary>
    public DaemonSocket Daemon(InternetAddress local, ushort port = Port) => Host.Run(() =>
    {
        DataPlane.AdmitDaemon(local, port);
        var daemon = new DaemonSocket(local, port);
        Assert.Null(DataPlane.OpenEncapsulationPort(local, port));
        return daemon;
    });

    /// <summary>As the program does when links change.</summary>
    public void FollowInterfaces() => Host.Run(() =>
    {
        using var netlink = new RouteNetlink();
        DataPlane.FollowInterfaces([.. netlink.GetLinks().Where(link => !link.IsLoopback)]);
    });

    /// <summary>An SA from or to outside, with a policy that wants it.</summary>
    public void AddSa(uint spi, InternetAddress source, InternetAddress destination, ushort sourcePort = Port, ushort destinationPort = Port) => Host.Run(() =>
    {
        var association = Suite.Gcm.Association(spi, source, sourcePort, destination, destinationPort);
        bool inbound = Local.IsLocal(destination);
        var template = new PolicyTemplate(
            source, destination, default, 1, IpsecMode.Tunnel, 50, false, source.Version, 0, uint.MaxValue, uint.MaxValue, uint.MaxValue);
        using var frozen = Database.Freeze();
        Assert.Null(Database.Admission?.Invoke(association));
        Assert.True(Database.Sad.TryAdd(association));
        Database.Spd.TryAdd(Pair.Policy(
            inbound ? "10.1.0.0/16" : "10.2.0.0/16", inbound ? "10.2.0.0/16" : "10.1.0.0/16", inbound ? PolicyDirection.In : PolicyDirection.Out, template));
    });

    /// <summary>An ESP packet for <see cref="AddSa"/>.</summary>
    public static byte[] Esp(uint spi, uint sequence, int payload = 100) =>
        Forge.Seal(Suite.Gcm, spi, sequence, Packets.Udp("10.1.0.1", "10.2.0.1", payload: payload), 4);

    /// <summary>An IKE message behind its marker (RFC 3948 §2.2).</summary>
    public static byte[] Ike(int length, byte seed = 1)
    {
        byte[] message = new byte[length];
        for (int i = 4; i < length; i++)
        {
            message[i] = (byte)(seed + (i * 7));
        }

        return message;
    }

    public long Read(TrafficCounter counter) => DataPlane.Counters.Read(counter);

    /// <summary>Waits until a counter has a value; never more.</summary>
    public void Expect(TrafficCounter counter, long value)
    {
        Wait.Until(() => Read(counter) >= value, () => $"{counter} is {Read(counter)}, not {value}; {string.Join(", ", DataPlane.Counters.Snapshot().Drops)}");
        Assert.Equal(value, Read(counter));
    }

    /// <summary>An application of the host sends a packet into the tunnel.</summary>
    public void SendFromTun(byte[] packet) => Wait.Until(() => _application.Send(packet) == 0, "the TUN takes a packet");

    /// <summary>Takes what came out of the tunnel, so that its queue does not fill.</summary>
    public void EmptyTun()
    {
        while (_application.Receive(_batch) > 0)
        {
        }
    }

    public void Dispose()
    {
        DataPlane.Dispose();
        _relay.Dispose();
        _inside.Dispose();
        _application.Dispose();
        Host.Dispose();
        Router.Dispose();
        Outside.Dispose();
    }
}
