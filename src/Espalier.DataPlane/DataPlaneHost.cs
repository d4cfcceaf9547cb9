using System.Globalization;
using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Sockets;
using Espalier.DataPlane.Workers;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane;

/// <summary>
/// The data plane as one object: opens the outer sockets, starts the workers, stops them.
/// <code>
///   Created ──Start──▶ Running ──Stop──▶ Stopped ──Dispose──▶ gone
///      └──────────────────Dispose (stops first)──────────────────┘
/// </code>
/// All members but <see cref="Counters"/> belong to the control thread.
/// </summary>
public sealed class DataPlaneHost : IDisposable
{
    // Of a pair of workers after the first: for the outbound worker, and for fragments.
    private const int BatchesOfMore = 2;

    private readonly IpsecDatabase _database;
    private readonly DataPlaneOptions _options;
    private readonly OuterSocketTable _table;
    private readonly SocketDemand _demand;
    private readonly Worker[] _workers;
    private State _state;

    /// <summary>Composes the workers; nothing runs and no socket is open yet.</summary>
    /// <param name="database">SAD, SPD, events and clock.</param>
    /// <param name="devices">What to work on.</param>
    /// <param name="localAddresses">Decides between <c>in</c> and <c>fwd</c> policies, and which end of an SA is ours.</param>
    /// <param name="options">Sizes and ports.</param>
    /// <param name="pool">A pool of the caller's, for both directions, or null for those after the options.</param>
    public DataPlaneHost(
        IpsecDatabase database, DataPlaneDevices devices, ILocalAddresses localAddresses, DataPlaneOptions options, BatchPool? pool = null)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(devices);
        ArgumentNullException.ThrowIfNull(localAddresses);
        ArgumentNullException.ThrowIfNull(options);
        _database = database;
        _options = options;
        _table = new OuterSocketTable(devices.Sockets, devices.Workers.Count) { Changed = WakeWorkers };
        _demand = new SocketDemand(database, _table, localAddresses);
        Pool = pool ?? new BoundedBatchPool(new PinnedBatchPolicy(options.BatchSlots, options.SlotSize, options.Headroom), options.Batches + (BatchesOfMore * (devices.Workers.Count - 1)));
        ReceivePool = pool ?? new BoundedBatchPool(
            new PinnedBatchPolicy(options.ReceiveSlots, options.Headroom + options.ReceiveSlotSize, options.Headroom, options.PacketsPerReceiveSlot), devices.Workers.Count);
        var environment = new PipelineEnvironment
        {
            Database = database,
            Pool = Pool,
            ReceivePool = ReceivePool,
            WorkerCount = devices.Workers.Count,
            Spread = options.Spread,
            Devices = devices.Workers[0],
            Sockets = _table,
            LocalAddresses = localAddresses,
            Bypass = devices.Bypass,
            Icmp = devices.Icmp,
            DefaultPathMtu = options.DefaultPathMtu,
        };
        _workers = [.. devices.Workers.Index().SelectMany(pair => Pair(environment with { Worker = pair.Index, Devices = pair.Item }))];
    }

    private enum State
    {
        Created,
        Running,
        Stopped,
    }

    /// <summary>Raised on a worker's thread when a device is lost and the worker has ended. The program must stop.</summary>
    public event Action<Exception>? Failed;

    /// <summary>Raised on the control thread when an SA was added without <see cref="IpsecDatabase.Admission"/>, and its socket cannot be opened.</summary>
    public event Action<SecurityAssociation, string>? SocketUnavailable;

    /// <summary>What the workers count. Any thread.</summary>
    public DataPlaneCounters Counters { get; } = new();

    /// <summary>The pool of batches for what comes from the TUN.</summary>
    public BatchPool Pool { get; }

    /// <summary>The pool of batches for what comes from outer sockets.</summary>
    public BatchPool ReceivePool { get; }

    /// <summary>The outer sockets that are open now.</summary>
    public IReadOnlyList<IOuterSocket> Sockets => _table.Current.Sockets;

    /// <summary>Packets that the kernel dropped because the queue of an outer socket was full.</summary>
    public long SocketKernelDrops => _table.KernelDrops;

    /// <summary>Where packets of a UDP port are not received, and why; for people.</summary>
    public IReadOnlyList<string> SocketProblems => _table.Problems;

    /// <summary>
    /// Tells the interfaces on which UDP ports that are shared with an IKE daemon are received: all but the loopback device and our TUN. Called before
    /// <see cref="Start"/> and whenever they change.
    /// </summary>
    public void FollowInterfaces(IReadOnlyList<LinkInfo> links)
    {
        ArgumentNullException.ThrowIfNull(links);
        _table.Follow(links);
    }

    /// <summary>To be called when the addresses of this host have changed: which port an SA needs depends on which of its ends is ours.</summary>
    public void FollowAddresses()
    {
        if (_state == State.Running)
        {
            using var frozen = _database.Freeze();
            _demand.FollowAddresses();
        }
    }

    /// <summary>
    /// Lets an IKE daemon bind its socket to a port that is ours already: until <see cref="OpenEncapsulationPort"/>, or the second
    /// <see cref="AgeAdmissions"/>. Otherwise no program can.
    /// </summary>
    public void AdmitDaemon(InternetAddress local, ushort port) => _table.Admit(local.Version, port);

    /// <summary>To be called now and then: ends what <see cref="AdmitDaemon"/> allowed to a daemon that did not go on.</summary>
    public void AgeAdmissions() => _table.AgeAdmissions();

    /// <summary>
    /// Receives ESP on the port of an IKE daemon, whose socket is bound to <paramref name="local"/> (0.0.0.0 or :: = all addresses of that version), until as
    /// many calls of <see cref="CloseEncapsulationPort"/>.
    /// </summary>
    /// <returns>Null, or one sentence that says why it cannot be had.</returns>
    public string? OpenEncapsulationPort(InternetAddress local, ushort port) =>
        local.Version == IpVersion.None ? "the address of a port must be an IPv4 or IPv6 address"
        : port == 0 ? "UDP port 0 is none"
        : _demand.Hold(local, port);

    /// <summary>Gives up what <see cref="OpenEncapsulationPort"/> has opened.</summary>
    public void CloseEncapsulationPort(InternetAddress local, ushort port)
    {
        using var frozen = _database.Freeze();
        _demand.GiveUp(local, port);
    }

    /// <summary>Opens the sockets of the options and starts the workers.</summary>
    /// <exception cref="DeviceException">A socket cannot be opened; the message is one line that says what to do.</exception>
    public void Start()
    {
        if (_state != State.Created)
        {
            throw new InvalidOperationException($"The data plane is {_state}.");
        }

        _demand.Failed = (association, error) => SocketUnavailable?.Invoke(association, error);
        using (_database.Freeze())
        {
            _demand.Attach();
            foreach (var version in _options.Versions)
            {
                OpenPorts(version);
            }
        }

        foreach (var worker in _workers)
        {
            worker.Failed = exception => Failed?.Invoke(exception);
            worker.Start();
        }

        _state = State.Running;
    }

    /// <summary>Ends the workers, each after the batch at hand. Not inside a freeze.</summary>
    public void Stop()
    {
        foreach (var worker in _workers)
        {
            worker.Stop();
        }

        _state = State.Stopped;
    }

    /// <summary>Stops, and closes the outer sockets.</summary>
    public void Dispose()
    {
        Stop();
        _table.Changed = null;
        foreach (var worker in _workers)
        {
            worker.Dispose();
        }

        _demand.Dispose();
        _table.Dispose();
    }

    private Worker[] Pair(PipelineEnvironment environment)
    {
        string number = environment.Worker == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"-{environment.Worker + 1}");
        return
        [
            new OutboundWorker("espalier-out" + number, environment, Counters.Add("outbound" + number)),
            new InboundWorker("espalier-in" + number, environment, Counters.Add("inbound" + number)),
        ];
    }

    private void OpenPorts(IpVersion version)
    {
        foreach (ushort port in _options.EncapsulationPorts)
        {
            if (_demand.OpenPermanent(version, port) is { } error)
            {
                throw new DeviceException(error);
            }
        }
    }

    private void WakeWorkers()
    {
        foreach (var worker in _workers)
        {
            worker.Wake();
        }
    }
}
