using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Addresses;
using Espalier.Routing.Guard;
using Espalier.Routing.Mtu;
using Espalier.Routing.Routes;
using Espalier.Routing.Rules;
using Espalier.Routing.Settings;
using Espalier.Wire.Addresses;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing;

/// <summary>
/// Steers packets: keeps routing rules, routes, the nftables guard and the TUN's MTU in step with SPD and SAD, and follows the host's addresses.
/// <code>
/// SPD out ──▶ rules (sources) and routes (destinations) ──▶ packets reach the TUN
/// SPD in, fwd, out ──▶ guard: packets in clear are dropped
/// SAD ──▶ MTU of the TUN, path MTU of each SA
/// rtnetlink ──▶ local addresses, sources of the routes, MTU of the paths
/// </code>
/// Owned by the control thread: every member but <see cref="LocalAddresses"/> and <see cref="Guard"/> belongs to it. The thread must be in the network
/// namespace of the TUN. What policies and SAs ask for is written when they are added; what goes, and what can wait, in <see cref="Process"/>, which
/// the control thread calls after each turn of its loop.
/// </summary>
public sealed partial class RoutingController : IDisposable
{
    private const int GatherMilliseconds = 100;
    private const int GatherRoutesMilliseconds = 1000;

    private readonly IpsecDatabase _database;
    private readonly RoutingOptions _options;
    private readonly ILogger _logger;
    private readonly RouteNetlink _netlink;
    private readonly RouteMonitor _monitor;
    private readonly SourceAddresses _sources;
    private readonly OuterPathMtu _paths;
    private readonly TunnelMtu _tunnelMtu;
    private readonly Dictionary<IpVersion, CatchRules> _rules = [];
    private readonly Dictionary<SecurityPolicy, GuardPolicy> _guarded = [];
    private readonly Patience _guardPatience = new(TimeProvider.System);
    private readonly bool[] _defaultBlocks = new bool[3];
    private readonly List<SecurityPolicy> _defaultPolicies = [];
    private IReadOnlyList<IpVersion> _versions = [];
    private CatchRoutes? _routes;
    private ClearGuard? _guard;
    private GuardStatus? _reportedGuard;
    private SourceValidation? _sourceValidation;
    private LinkInfo _tunnel;
    private RouteChanges _pending;
    private long _pendingSince;
    private int _mtu;
    private bool _started;
    private bool _ownsTables;
    private bool _stopped;

    /// <summary>Opens the netlink sockets; changes nothing yet.</summary>
    /// <exception cref="IOException">The kernel has no rtnetlink.</exception>
    public RoutingController(IpsecDatabase database, RoutingOptions options, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.RulePriority, RoutingOptions.LargestRulePriority, nameof(options));
        _database = database;
        _options = options;
        _logger = logger;
        _netlink = new RouteNetlink();
        _monitor = new RouteMonitor(options.Protocol);
        _sources = new SourceAddresses(_netlink, options.Mark);
        _paths = new OuterPathMtu(database.Clock);
        _tunnelMtu = new TunnelMtu(_paths);
    }

    /// <summary>What this host delivers to itself. Workers ask it.</summary>
    public LocalAddresses LocalAddresses { get; } = new();

    /// <summary>Descriptor to poll for reading: the host's links, addresses or routes changed. <see cref="Process"/> reads it.</summary>
    public int PollDescriptor => _monitor.PollDescriptor;

    /// <summary>Which protections by nftables are on, and why the others are off. Any thread.</summary>
    public GuardStatus Guard => _guard?.Status ?? GuardStatus.NotStarted;

    /// <summary>MTU of the TUN.</summary>
    public int TunnelMtu => _mtu;

    /// <summary>Number of destination prefixes that are routed into the TUN.</summary>
    public int RoutedPrefixes => _routes?.Count ?? 0;

    /// <summary>Routes that the kernel refused.</summary>
    public long RefusedRoutes => _routes?.Refused ?? 0;

    /// <summary>Packets that the guard dropped. Runs nft, about 5 ms (60 ms with 10,000 policies).</summary>
    public GuardCounters ReadGuardCounters() => _guard?.ReadCounters() ?? default;

    /// <summary>
    /// Removes what an earlier run left, sets the TUN up, installs rules, settings and guard, and takes over what SPD and SAD hold.
    /// </summary>
    /// <exception cref="DeviceException">The TUN is missing, rights are missing, or another Espalier uses the table; the message says what to do.</exception>
    public void Start()
    {
        try
        {
            Install();
        }
        catch (NetlinkException refused)
        {
            Stop();
            string advice = refused.ErrorNumber is Errno.EPERM or Errno.EACCES ? " Espalier needs CAP_NET_ADMIN in the network namespace of its TUN." : "";
            throw new DeviceException($"Routing: {refused.Message}.{advice}", refused);
        }
        catch
        {
            Stop();
            throw;
        }
    }

    /// <summary>
    /// Follows what changed: reads the monitor, writes what waited, ages path MTUs. Returns the milliseconds after which it wants to be called again,
    /// -1 = only when something happens. Never throws for what the kernel refuses: it is logged and tried again.
    /// </summary>
    public int Process()
    {
        if (!_started)
        {
            return -1;
        }

        try
        {
            ReadMonitor();
            FollowDefaults();
            FollowHost();
            Settle();
            AgePaths();
            ApplyTunnelMtu();
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            Postpone(RouteChanges.All);
            return GatherRoutesMilliseconds;
        }

        return UntilNext();
    }

    /// <summary>
    /// Brings the guard up to what the last request changed, before that request is answered: from the answer on, packets in clear are treated as the
    /// policies say. Waits for nft, about 5 ms where a rule or an element changes, not at all where none does. Of a second it waits at most half, so that
    /// thousands of changes do not take minutes: then the guard follows within a tenth of a second.
    /// </summary>
    public void AwaitGuard()
    {
        if (!_started || _guard is null)
        {
            return;
        }

        try
        {
            FollowDefaults();
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            Postpone(RouteChanges.All);
        }

        if (_guardPatience.TryBegin(out var longest))
        {
            _guard.Flush(longest);
            _guardPatience.End();
        }
    }

    /// <summary>True where the guard has written all that policies asked for.</summary>
    public bool IsSettled => _guard?.IsSettled ?? true;

    /// <summary>Waits until the guard has written what the policies so far ask for; false where that took longer.</summary>
    public bool FlushGuard(TimeSpan timeout) => _guard?.Flush(timeout) ?? true;

    /// <summary>
    /// Takes a path MTU that an ICMP error about an SA's packet reported (<see cref="IpsecEventKind.PathMtu"/>), in bytes of the outer packet.
    /// </summary>
    public void LearnPathMtu(SecurityAssociation association, int mtu)
    {
        ArgumentNullException.ThrowIfNull(association);
        var destination = association.Id.Destination;
        if (_tunnelMtu.HasDestination(destination) && _paths.Learn(destination, mtu))
        {
            UpdatePath(destination);
        }
    }

    /// <summary>Clean stop: removes rules, routes and guard, restores settings. The TUN is its owner's to close. Repeatable.</summary>
    public void Stop()
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        _started = false;
        _database.Spd.Added -= OnPolicyAdded;
        _database.Spd.Removed -= OnPolicyRemoved;
        _database.Sad.Added -= OnAssociationAdded;
        _database.Sad.Removed -= OnAssociationRemoved;
        if (_ownsTables)
        {
            RemoveAll();
        }

        _monitor.Dispose();
        _netlink.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => Stop();

    private void RemoveAll()
    {
        _guard?.Dispose();
        foreach (var version in _versions)
        {
            Attempt(() => CatchRules.Clear(_netlink, _options, version));
        }

        Attempt(() => CatchRoutes.Clear(_netlink, _options, _versions));
        Attempt(() => _sourceValidation?.Restore(RulesOfEspalier().Any()));
    }

    private void Attempt(Action action)
    {
        try
        {
            action();
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
        }
    }

    private int UntilNext()
    {
        long now = Environment.TickCount64;
        long wait = _pending == RouteChanges.None ? long.MaxValue : Math.Max(_pendingSince + GatherTime - now, 0);
        if (_paths.UntilExpiry() is { } expiry)
        {
            wait = Math.Min(wait, (long)expiry.TotalMilliseconds + 1);
        }

        return wait == long.MaxValue ? -1 : (int)Math.Min(wait, int.MaxValue);
    }
}
