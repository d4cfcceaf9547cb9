using Espalier.Crypto;
using Espalier.DataPlane;
using Espalier.DataPlane.Counters;
using Espalier.Io;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Spd;
using Espalier.Routing;
using Espalier.Running.Logging;
using Espalier.Statistics;
using Espalier.Xfrm.Server;
using Microsoft.Extensions.Logging;

namespace Espalier.Running.Composition;

/// <summary>
/// The parts of `espalier run` and the order in which they start and stop. They meet in the database only.
/// <code>
/// control socket bound (a second instance ends here) ─▶ control thread:
///     TUN, senders ─▶ interfaces ─▶ data plane (sockets, workers) ─▶ tables, marks of our own ─▶ routing (rules, routes, guard) ─▶ clients are served
/// stop: control thread ─▶ routing ─▶ data plane ─▶ SAs and policies, keys zeroed ─▶ TUN
/// </code>
/// What a start that fails had done is undone. Routing comes last: it removes what a crash left behind, and must not do so to a live instance.
/// </summary>
internal sealed class Daemon : IDisposable
{
    private readonly RunOptions _options;
    private readonly ILogger _logger;
    private readonly IpsecDatabase _database = new();
    private readonly RoutingController _routing;
    private readonly CryptoEngine _engine;
    private readonly ControlServer _control;
    private readonly Ending _ending;
    private KernelDevices? _devices;
    private NamespaceClaims? _claims;
    private DataPlaneHost? _dataPlane;
    private DataPlaneMetrics? _metrics;
    private InterfaceFollower? _interfaces;
    private bool _disposed;

    /// <summary>Composes; nothing is changed on the host yet. <paramref name="ending"/> is told when the daemon must stop.</summary>
    internal Daemon(RunOptions options, DaemonLog log, Ending ending)
    {
        _options = options;
        _ending = ending;
        _logger = log.Create("run");
        _routing = new RoutingController(_database, Configuration.Routing(options), log.Create("routing"));
        _engine = ChooseEngine(options.Crypto);
        _control = new ControlServer(_database, Configuration.Control(options, _engine), log.Create("control"));
    }

    /// <summary>The control thread.</summary>
    internal ControlLoop Loop => _control.Loop;

    /// <summary>Starts everything and returns when clients are served.</summary>
    /// <exception cref="DeviceException">Something cannot be had; the message is one line that says what to do.</exception>
    internal void Start()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _control.Start(() =>
        {
            try
            {
                StartOnControlThread();
                entered.SetResult();
            }
            catch (Exception exception)
            {
                entered.SetException(exception);
                throw;
            }
        });
        entered.Task.GetAwaiter().GetResult();
        _ = _control.Loop.Completion.ContinueWith(
            loop => _ending.Tell(loop.Exception?.InnerException is { } e ? $"the control thread failed: {e}" : "the control thread ended", isFailure: true),
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    /// <summary>A line for `systemctl status`. Control thread.</summary>
    internal string Status()
    {
        using (_database.Freeze())
        {
            int policies = Enum.GetValues<PolicyDirection>().Sum(_database.Spd.Count);
            return $"{_database.Sad.Count} SAs, {policies} policies, {_dataPlane?.Counters.Read(TrafficCounter.OutboundPackets)} packets out, {_dataPlane?.Counters.Read(TrafficCounter.InboundPackets)} in";
        }
    }

    /// <summary>Stops everything and leaves nothing behind. Not on the control thread.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _control.Stop();
        _routing.Dispose();
        _metrics?.Dispose();
        _interfaces?.Dispose();
        _dataPlane?.Dispose();
        ForgetKeys();
        _control.Dispose();
        _devices?.Dispose();
        _claims?.Dispose();
    }

    private void StartOnControlThread()
    {
        _devices = KernelDevices.Open(_options);
        _dataPlane = new DataPlaneHost(_database, _devices.ForDataPlane, _routing.LocalAddresses, Configuration.DataPlane(_options));
        _dataPlane.Failed += exception => _ending.Tell(exception.Message, isFailure: true);
        _dataPlane.SocketUnavailable += (association, reason) => RunLog.SocketUnavailable(_logger, association.Id.Spi.ToString(), reason);
        _interfaces = new InterfaceFollower(_dataPlane, _devices.Tun.InterfaceIndex, TunnelGone, _logger);
        _interfaces.Start();
        _dataPlane.Start();
        _metrics = new DataPlaneMetrics(_dataPlane, _database);
        _routing.LocalAddresses.Refreshed += _dataPlane.FollowAddresses;
        _claims = NamespaceClaims.Take(Configuration.Routing(_options));
        _routing.Start();
        if (_devices.Sockets.ReceiveBufferLimited)
        {
            RunLog.ReceiveBufferLimited(_logger, _options.ReceiveBufferBytes);
        }

        var ladder = new LadderWatch(_dataPlane, _devices, _options, _logger);
        ladder.Start();
        var document = new StatDocument(_options, _engine, _database, _routing, _dataPlane, _devices, _control);
        _control.Statistics = document.Write;
        _control.EncapsulationPorts = new EncapsulationPorts(_dataPlane);
        _control.PathMtuLearnt = learnt => _routing.LearnPathMtu(learnt.Association!, learnt.PathMtu);
        _control.Changed = _routing.AwaitGuard;
        _control.Loop.Register(_interfaces.PollDescriptor, _interfaces.Follow);
        _control.Loop.Every(InterfaceFollower.RetryPeriod, _interfaces.Retry);
        _control.Loop.Every(InterfaceFollower.RetryPeriod, _dataPlane.AgeAdmissions);
        _control.Loop.Every(LadderWatch.Period, ladder.Look);
        foreach (int descriptor in _routing.PollDescriptors)
        {
            _control.Loop.Register(descriptor, static () => { });
        }

        var trim = new HeapTrim(Entries, () => _routing.IsSettled, HeapTrim.Collect, TimeProvider.System);
        _database.Sad.Removed += _ => trim.Removed();
        _database.Spd.Removed += _ => trim.Removed();
        _control.Loop.EachTurn = () => ControlLoop.Sooner(_routing.Process(), trim.Look());
    }

    private void TunnelGone() => _ending.Tell(
        $"the TUN device {_devices!.Tun.Name} is no longer in this network namespace: another program moved it away, or removed it; start Espalier again",
        isFailure: true);

    private int Entries() => _database.Sad.Count
        + _database.Spd.Count(PolicyDirection.In) + _database.Spd.Count(PolicyDirection.Out) + _database.Spd.Count(PolicyDirection.Forward);

    private CryptoEngine ChooseEngine(string name)
    {
        if (CryptoEngines.Lacks is { } lacking)
        {
            throw new DeviceException(lacking);
        }

        var choice = CryptoEngines.Choose(name);
        if (choice.Refused is not null)
        {
            RunLog.CryptoRefused(_logger, choice.Refused);
        }

        RunLog.Crypto(_logger, choice.Engine.Name, choice.Engine.Library, choice.Faster is null ? "" : $"; {choice.Faster} is there and faster: --crypto {choice.Faster}");
        return choice.Engine;
    }

    private void ForgetKeys()
    {
        using var frozen = _database.Freeze();
        foreach (var association in _database.Sad.All.ToArray())
        {
            _database.Sad.Remove(association);
            association.Dispose();
        }

        foreach (var policy in _database.Spd.Policies.ToArray())
        {
            _database.Spd.Remove(policy);
        }
    }
}
