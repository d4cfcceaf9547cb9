using System.Diagnostics.CodeAnalysis;
using Espalier.DataPlane;
using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Inbound;
using Espalier.DataPlane.Outbound;
using Espalier.DataPlane.Sockets;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>Espalier's own pipelines, run to completion on the caller's thread, as a worker does with each batch.</summary>
internal sealed class PooledHost : ITunnelHost, ILocalAddresses
{
    private const int Slots = 64;
    private const int JumboPathMtu = 10_000;
    private readonly IpsecDatabase _database = new();
    private readonly OuterSocketTable _sockets;
    private readonly OutboundPipeline _outbound;
    private readonly InboundPipeline _inbound;
    private readonly PacketBatch _outboundBatch, _inboundBatch;
    private readonly MemoryOuterSocket _socket;
    private readonly SecurityAssociation _receives;

    internal PooledHost(HostPlace place, CryptoEngine engine)
    {
        _socket = place.Socket;
        _sockets = new OuterSocketTable(new OneSocket(place.Socket));
        if (_sockets.Open(IpVersion.IPv4, HostPlace.Port) is { } error)
        {
            throw new InvalidOperationException(error);
        }

        using (_database.Freeze())
        {
            Add(place.Own, place.Other, engine);
            _receives = Add(place.Other, place.Own, engine);
            AddPolicy(place.Own, place.Other, PolicyDirection.Out);
            AddPolicy(place.Other, place.Own, PolicyDirection.Forward);
        }

        var pool = new BoundedBatchPool(new PinnedBatchPolicy(Slots, 10_240, 128), 4);
        var environment = new PipelineEnvironment
        {
            Database = _database,
            Pool = pool,
            ReceivePool = pool,
            Devices = new WorkerDevices(Tunnel, Tunnel),
            Sockets = _sockets,
            LocalAddresses = this,
            DefaultPathMtu = JumboPathMtu,
        };
        _outbound = new OutboundPipeline(environment, Counters.Add("outbound"));
        _inbound = new InboundPipeline(environment, Counters.Add("inbound"));
        (_outboundBatch, _inboundBatch) = (pool.Get(), pool.Get());
    }

    public MemoryTunnelDevice Tunnel { get; } = new();

    internal DataPlaneCounters Counters { get; } = new();

    /// <summary>No inner address is this host's: everything is forwarded.</summary>
    public bool IsLocal(InternetAddress address) => false;

    public void RunOutbound()
    {
        while (Tunnel.Receive(_outboundBatch) > 0)
        {
            _outbound.Process(_outboundBatch);
        }
    }

    public void RunInbound()
    {
        while (_socket.Receive(_inboundBatch) > 0)
        {
            _inbound.Process(_inboundBatch, _socket);
        }
    }

    public void ForgetReceived() => _receives.Replay!.Restore(0, []);

    public void Dispose()
    {
        _sockets.Dispose();
        using var frozen = _database.Freeze();
        foreach (var association in _database.Sad.All.ToArray())
        {
            _database.Sad.Remove(association);
        }
    }

    private SecurityAssociation Add(TunnelEnd from, TunnelEnd to, CryptoEngine engine)
    {
        AlgorithmSpec[] algorithms = [new(AlgorithmKind.Aead, "rfc4106(gcm(aes))", HostPlace.Key, 128)];
        if (!EspTransformFactory.TryCreate(algorithms, false, engine, out var transform, out string? error))
        {
            throw new InvalidOperationException(error);
        }

        var association = new SecurityAssociation
        {
            Id = new SaIdentity(to.Receives, to.Outer),
            Source = from.Outer,
            State = SaState.Valid,
            ReqId = 1,
            Flags = SaFlags.AfUnspec,
            Encapsulation = new UdpEncapsulation(HostPlace.Port, HostPlace.Port, default),
            Algorithms = algorithms,
            Transform = transform,
            ReplayWindowSize = 128,
            Replay = new ReplayWindow(128, false),
            PathMtu = JumboPathMtu,
        };
        _database.Sad.TryAdd(association);
        return association;
    }

    private void AddPolicy(TunnelEnd from, TunnelEnd to, PolicyDirection direction) => _database.Spd.TryAdd(new SecurityPolicy
    {
        Selector = from.To(to),
        Direction = direction,
        Priority = 1,
        Templates =
        [
            new PolicyTemplate(
                from.Outer, to.Outer, default, 1, IpsecMode.Tunnel, 50, false, IpVersion.IPv4, 0, uint.MaxValue, uint.MaxValue, uint.MaxValue),
        ],
    });

    private sealed class OneSocket(IOuterSocket socket) : IOuterSocketFactory
    {
        public bool TryOpen(
            IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? opened, [NotNullWhen(false)] out string? error)
        {
            (opened, error) = (socket, null);
            return true;
        }
    }
}
