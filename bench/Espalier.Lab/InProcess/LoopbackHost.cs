using System.Text.Json.Nodes;
using Espalier.DataPlane;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Sockets;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Io.Sockets;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Lab.InProcess;

/// <summary>
/// A host without TUN and namespace: the daemon's own pipeline over a socket pair inside and UDP on a loopback address outside.
/// </summary>
internal sealed class LoopbackHost : ILocalAddresses, IOuterSocketFactory, IDisposable
{
    private readonly IpsecDatabase _database = new();
    private readonly SocketPairTunnelDevice _inside;
    private readonly DataPlaneHost _host;

    /// <summary>Opens the socket and starts the workers.</summary>
    public LoopbackHost(string outer, string inner, ushort port)
    {
        Outer = InternetAddress.Parse(outer);
        Inner = InternetAddress.Parse(inner);
        Port = port;
        (_inside, Application) = SocketPairTunnelDevice.CreatePair();
        _host = new DataPlaneHost(
            _database, new DataPlaneDevices(_inside, this, null, null), this,
            new DataPlaneOptions { EncapsulationPorts = [port], Versions = [IpVersion.IPv4], DefaultPathMtu = 9000 });
        _host.Start();
    }

    /// <summary>Loopback address of its socket.</summary>
    public InternetAddress Outer { get; }

    /// <summary>Address of the host inside the tunnel.</summary>
    public InternetAddress Inner { get; }

    /// <summary>UDP port of its socket.</summary>
    public ushort Port { get; }

    /// <summary>What the host's applications would write to and read from.</summary>
    public SocketPairTunnelDevice Application { get; }

    /// <inheritdoc/>
    public bool IsLocal(InternetAddress address) => address == Outer || address == Inner;

    /// <inheritdoc/>
    public bool TryOpen(IpVersion version, ushort localPort, out IOuterSocket socket, out string error)
    {
        error = "";
        socket = null!;
        try
        {
            socket = UdpEncapsulationSocket.Open(new OuterSocketOptions { Version = version, BindAddress = Outer, Port = localPort });
            return true;
        }
        catch (DeviceException exception)
        {
            error = exception.Message;
            return false;
        }
    }

    /// <summary>Installs an SA and, where it leaves from here, its outbound policy, else the inbound one.</summary>
    public void Key(LoopbackHost from, LoopbackHost to, uint spi, byte[] key)
    {
        AlgorithmSpec[] algorithms = [new(AlgorithmKind.Aead, "rfc4106(gcm(aes))", key, 128)];
        if (!EspTransformFactory.TryCreate(algorithms, false, out var transform, out string? error))
        {
            throw new Hosts.LabException(error);
        }

        bool outbound = from == this;
        using var frozen = _database.Freeze();
        _database.Sad.TryAdd(new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(spi), to.Outer),
            Source = from.Outer,
            State = SaState.Valid,
            Transform = transform,
            Algorithms = algorithms,
            ReqId = 1,
            Encapsulation = new UdpEncapsulation(from.Port, to.Port, default),
            ReplayWindowSize = 128,
            Replay = outbound ? null : new ReplayWindow(128, false),
        });
        _database.Spd.TryAdd(new SecurityPolicy
        {
            Selector = new TrafficSelector(new AddressPrefix(from.Inner, 32), new AddressPrefix(to.Inner, 32), 0, 0, 0, 0, 0),
            Direction = outbound ? PolicyDirection.Out : PolicyDirection.In,
            Priority = 0,
            Templates =
            [
                new PolicyTemplate(
                    from.Outer, to.Outer, default, 1, IpsecMode.Tunnel, 50, false, IpVersion.IPv4, 0, uint.MaxValue, uint.MaxValue, uint.MaxValue),
            ],
        });
    }

    /// <summary>Its counters, named as `espalier stat --json` names them.</summary>
    public JsonObject Stat()
    {
        var counters = _host.Counters.Snapshot();
        var drops = new JsonObject();
        foreach (var (reason, count) in counters.Drops)
        {
            drops[reason.ToString()] = count;
        }

        return new JsonObject
        {
            ["traffic"] = new JsonObject
            {
                ["packetsOut"] = counters[TrafficCounter.OutboundPackets],
                ["bytesOut"] = counters[TrafficCounter.OutboundBytes],
                ["packetsIn"] = counters[TrafficCounter.InboundPackets],
                ["bytesIn"] = counters[TrafficCounter.InboundBytes],
            },
            ["drops"] = drops,
            ["kernelDrops"] = new JsonObject { ["sockets"] = _host.SocketKernelDrops },
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _host.Dispose();
        Application.Dispose();
        _inside.Dispose();
    }
}
