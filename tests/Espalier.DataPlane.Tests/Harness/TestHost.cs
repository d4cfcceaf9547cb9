using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Inbound;
using Espalier.DataPlane.Outbound;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Testing;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>
/// One host's data plane over devices in memory, without threads: the test says when each side runs.
/// <code>
///   Tunnel.Put ──▶ RunOutbound ──▶ Network.Sent ──▶ Network.Peer's sockets ──▶ RunInbound ──▶ Tunnel.Written
/// </code>
/// </summary>
internal sealed class TestHost : IDisposable
{
    private readonly OuterErrorReader _errors;

    public TestHost(int poolBatches = 4, int queueLength = 256, int defaultPathMtu = 1500, int slots = 32, IPortRelay? relay = null, int workers = 1)
    {
        Clock = new ManualClock();
        Database = new IpsecDatabase { Clock = Clock };
        Pool = new DiagnosticBatchPool(poolBatches, slots);
        Network = new TestNetwork(queueLength);
        Tunnel = new TestTunnel(queueLength);
        Sockets = new OuterSocketTable(Network, workers);
        Demand = new SocketDemand(Database, Sockets, Local);
        Demand.Attach();
        Environment = new PipelineEnvironment
        {
            Database = Database,
            Pool = Pool,
            ReceivePool = Pool,
            Devices = new WorkerDevices(Tunnel, Tunnel, relay),
            Sockets = Sockets,
            LocalAddresses = Local,
            Bypass = Bypass,
            Icmp = Icmp,
            DefaultPathMtu = defaultPathMtu,
        };
        OutboundCounters = Counters.Add("outbound");
        InboundCounters = Counters.Add("inbound");
        Outbound = new OutboundPipeline(Environment, OutboundCounters);
        Inbound = new InboundPipeline(Environment, InboundCounters);
        _errors = new OuterErrorReader(Database, Environment.LocalPathMtu, InboundCounters, defaultPathMtu, relay);
    }

    public ManualClock Clock { get; }

    public IpsecDatabase Database { get; }

    public DiagnosticBatchPool Pool { get; }

    public TestTunnel Tunnel { get; }

    public TestNetwork Network { get; }

    public RecordingBypass Bypass { get; } = new();

    public RecordingIcmp Icmp { get; } = new();

    public LocalAddressSet Local { get; } = new();

    public OuterSocketTable Sockets { get; }

    public SocketDemand Demand { get; }

    public PipelineEnvironment Environment { get; }

    public DataPlaneCounters Counters { get; } = new();

    public WorkerCounters OutboundCounters { get; }

    public WorkerCounters InboundCounters { get; }

    public OutboundPipeline Outbound { get; }

    public InboundPipeline Inbound { get; }

    /// <summary>The room that packets from the TUN are given around them in a row; null: what the pipeline asks for.</summary>
    public FrameSpacing? Spacing { get; set; }

    /// <summary>Handles what waits in the TUN.</summary>
    public void RunOutbound()
    {
        var batch = Pool.Get();
        do
        {
            batch.Spacing = Spacing ?? Outbound.Spacing;
            if (Tunnel.Receive(batch) > 0)
            {
                Outbound.Process(batch);
            }
        }
        while (batch.Count > 0);

        batch.Spacing = FrameSpacing.None;
        Pool.Return(batch);
    }

    /// <summary>Handles what waits in the outer sockets and their error queues.</summary>
    public void RunInbound()
    {
        var batch = Pool.Get();
        foreach (var socket in Sockets.Current.Sockets)
        {
            _errors.Drain(socket);
            while (socket.Receive(batch) > 0)
            {
                Inbound.Process(batch, socket);
            }
        }

        Pool.Return(batch);
    }

    public void SendFromTun(params byte[][] packets)
    {
        foreach (byte[] packet in packets)
        {
            Tunnel.Put(packet);
        }

        RunOutbound();
    }

    public IpsecEvent[] TakeEvents()
    {
        var events = new List<IpsecEvent>();
        while (Database.Events.TryTake(out var value))
        {
            events.Add(value);
        }

        return [.. events];
    }

    public void Dispose()
    {
        Pool.AssertAllReturnedAndUntouched();
        Demand.Dispose();
        Sockets.Dispose();
        using var frozen = Database.Freeze();
        foreach (var association in Database.Sad.All.ToArray())
        {
            Database.Sad.Remove(association);
        }
    }
}
