using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
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
/// SPD out ──▶ rules (sources) and routes (destinations) ──▶ packets reach the TUN          PolicyFollower
/// SPD in, fwd, out ──▶ guard: packets in clear are dropped                                PolicyFollower
/// SAD ──▶ MTU of the TUN, path MTU of each SA; ports that the guard exempts               AssociationFollower
/// rtnetlink ──▶ local addresses, sources of the routes, MTU of the paths                  HostFollower
/// rtnetlink, nftables ──▶ what others removed of rules and routes, or changed of the guard, is put back      PolicyFollower
/// </code>
/// Owned by the control thread: every member but <see cref="LocalAddresses"/> and <see cref="Guard"/> belongs to it. The thread must be in the network
/// namespace of the TUN. What policies and SAs ask for is written when they are added; what goes, and what can wait, in <see cref="Process"/>, which
/// the control thread calls after each turn of its loop.
/// </summary>
public sealed class RoutingController : IDisposable
{
    private static readonly TimeSpan GuardTimeout = TimeSpan.FromSeconds(30);

    private readonly IpsecDatabase _database;
    private readonly RoutingOptions _options;
    private readonly ILogger _logger;
    private readonly RouteNetlink _netlink;
    private readonly RouteMonitor _monitor;
    private readonly SourceAddresses _sources;
    private readonly HostFollower _host;
    private readonly TunnelPaths _paths;
    private readonly Patience _guardPatience = new(TimeProvider.System);
    private readonly HashSet<uint> _authors = [];
    private IReadOnlyList<IpVersion> _versions = [];
    private PolicyFollower? _policies;
    private AssociationFollower? _associations;
    private CatchRoutes? _routes;
    private ClearGuard? _guard;
    private NftablesMonitor? _nftables;
    private OwnTables? _tables;
    private SourceValidation? _sourceValidation;
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
        _monitor = new RouteMonitor(options.Protocol, RouteChanges.All, _netlink.PortId);
        _sources = new SourceAddresses(_netlink, options.Mark);
        _host = new HostFollower(_netlink, _monitor, LocalAddresses, _sources);
        _paths = new TunnelPaths(database, _netlink, options.Mark, logger);
    }

    /// <summary>What this host delivers to itself. Workers ask it.</summary>
    public LocalAddresses LocalAddresses { get; } = new();

    /// <summary>
    /// Descriptors to poll for reading once <see cref="Start"/> has returned: the host's links, addresses or routes changed, or nftables. <see cref="Process"/> reads them.
    /// </summary>
    public IReadOnlyList<int> PollDescriptors => _nftables is { } nftables ? [_monitor.PollDescriptor, nftables.PollDescriptor] : [_monitor.PollDescriptor];

    /// <summary>Which protections by nftables are on, and why the others are off. Any thread.</summary>
    public GuardStatus Guard => _guard?.Status ?? GuardStatus.NotStarted;

    /// <summary>MTU of the TUN, in bytes.</summary>
    public int TunnelMtu => _paths.TunnelMtu;

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
            FollowNftables();
            _host.Read();
            _policies!.FollowDefaults();
            FollowHost();
            _policies.Settle();
            _paths.Age();
            _paths.ApplyToTunnel();
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            _host.Postpone(RouteChanges.All);
            return HostFollower.GatherRoutesMilliseconds;
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
            _policies!.FollowDefaults();
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            _host.Postpone(RouteChanges.All);
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
        _paths.Learn(association, mtu);
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
        _policies?.Stop();
        _associations?.Stop();
        if (_ownsTables)
        {
            RemoveAll();
        }

        _monitor.Dispose();
        _nftables?.Dispose();
        _netlink.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => Stop();

    private void Install()
    {
        bool withIPv6 = KernelSetting.HasIPv6;
        _versions = withIPv6 ? [IpVersion.IPv4, IpVersion.IPv6] : [IpVersion.IPv4];
        _tables = new OwnTables(_netlink, _options, _versions);
        _tables.RefuseKernels();
        var tunnel = _netlink.GetLink(_options.TunnelName);
        _tables.RefuseForeign(tunnel);
        _sourceValidation = new SourceValidation();
        _ownsTables = true;
        RemoveLeftovers(_tables, _sourceValidation);
        _paths.Start(tunnel, withIPv6);
        foreach (string problem in TunnelInterface.SetUp(_netlink, tunnel, _paths.TunnelMtu, withIPv6))
        {
            RoutingLog.SettingRefused(_logger, problem);
        }

        LocalAddresses.Refresh(_netlink);
        _sources.Refresh();
        _routes = new CatchRoutes(
            _netlink, _sources, _options, tunnel.Index, (destination, reason) => RoutingLog.RouteRefused(_logger, destination, reason));
        _routes.Install();
        Dictionary<IpVersion, CatchRules> rules = [];
        foreach (var version in _versions)
        {
            rules[version] = new CatchRules(_netlink, version, _options);
            rules[version].Install(_sourceValidation.WasOff);
        }

        _sourceValidation.SwitchOn();
        TakeOverDatabase(rules, _routes, new GuardReport(_sourceValidation, _logger));
        RoutingLog.Started(_logger, tunnel.Name, _options.Table, _options.RulePriority, _options.Mark);
    }

    /// <summary>Removes rules and routes of an earlier run, after what they record was taken over.</summary>
    private void RemoveLeftovers(OwnTables tables, SourceValidation validation)
    {
        validation.TakeOver(tables.RulesOfEspalier);
        int removed = _versions.Sum(tables.ClearRules);
        tables.ClearRoutes();
        if (removed > 0)
        {
            RoutingLog.TookOver(_logger, removed);
        }
    }

    /// <summary>Begins to follow SPD and SAD, and waits for the guard that this asks for.</summary>
    private void TakeOverDatabase(Dictionary<IpVersion, CatchRules> rules, CatchRoutes routes, GuardReport report)
    {
        _guard = new ClearGuard(_options, report.Tell, report.TellPutBack);
        _nftables = _guard.HasProgram ? NftablesMonitor.TryOpen(_guard.TableName) : null;
        var ports = new ExemptPorts(_options, _guard);
        ports.Publish();
        _policies = new PolicyFollower(_database.Spd, rules, routes, _guard, _host, _options.Protocol, _logger);
        _associations = new AssociationFollower(_database.Sad, _versions, LocalAddresses, ports, _paths, _host, _logger);
        using (_database.Freeze())
        {
            _started = true;
            _policies.Start();
            _associations.Start();
            _policies.FollowDefaults();
            _paths.ApplyToTunnel();
        }

        _guard.Flush(GuardTimeout);
        report.Tell(_guard.Status);
    }

    private void FollowNftables()
    {
        _authors.Clear();
        if (_nftables?.Drain(_authors) == true)
        {
            _guard!.Verify();
        }

        if (_authors.Count > 0)
        {
            _guard!.Verify(_authors);
        }
    }

    /// <summary>Brings routes and MTUs up to date with the host, once its changes have had time to gather.</summary>
    private void FollowHost()
    {
        if (_host.TryTake(out var changes))
        {
            _policies!.FollowHost(changes);
            using (_database.Freeze())
            {
                _associations!.FollowHost();
            }
        }
    }

    private void RemoveAll()
    {
        _guard?.Dispose();
        foreach (var version in _versions)
        {
            Attempt(() => _tables?.ClearRules(version));
        }

        Attempt(() => _tables?.ClearRoutes());
        Attempt(() => _sourceValidation?.Restore(_tables?.RulesOfEspalier.Any() ?? false));
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
        long wait = _host.UntilDue ?? long.MaxValue;
        if (_paths.UntilExpiry is { } expiry)
        {
            wait = Math.Min(wait, (long)expiry.TotalMilliseconds + 1);
        }

        if (_policies!.UntilDue is { } due)
        {
            wait = Math.Min(wait, (long)due.TotalMilliseconds + 1);
        }

        return wait == long.MaxValue ? -1 : (int)Math.Min(wait, int.MaxValue);
    }
}
