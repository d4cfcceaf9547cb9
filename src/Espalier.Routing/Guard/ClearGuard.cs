using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Guard;

/// <summary>
/// Keeps nftables in step with the policies, on a thread of its own, because each change runs the program nft (about 5 ms, 60 ms for 10,000 elements).
/// The control thread hands over what changed (<see cref="GuardChanges"/>). Each write is one transaction: there is no moment without the guard.
/// </summary>
internal sealed class ClearGuard : IDisposable
{
    private const int RetryMilliseconds = 5000;
    private const int StackSize = 512 * 1024;

    private readonly GuardScript _script;
    private readonly Nft? _nft;
    private readonly GuardTally? _tally;
    private readonly Action<GuardStatus> _statusChanged;
    private readonly GuardChanges _changes = new();
    private readonly RemovalReport _removals;
    private readonly Thread? _thread;
    private readonly Dictionary<(PolicyDirection, IpVersion), GuardGroup> _groups = [];

    private volatile GuardStatus _status;

    // The guard thread's own.
    private HashSet<ushort> _ports = [];
    private bool _suspect;
    private bool _foreign;
    private bool _whole;
    private bool _wasWhole;
    private bool _portsChanged = true;

    /// <summary>Starts the thread, which makes the table; where there is no nft, only says so.</summary>
    /// <param name="options">Names and marks.</param>
    /// <param name="statusChanged">Told of what is on, and why not, at each change, by the guard's thread.</param>
    /// <param name="putBack">Told of the tables that another program removed or changed, and how often, by the guard's thread; they are as they must be.</param>
    /// <param name="nft">The program's path, where it is not the one installed.</param>
    internal ClearGuard(RoutingOptions options, Action<GuardStatus> statusChanged, Action<string, int>? putBack = null, string? nft = null)
    {
        _script = new GuardScript(options);
        _statusChanged = statusChanged;
        _removals = new RemovalReport(TimeProvider.System, removals => putBack?.Invoke(_script.TableName, removals.Times));
        string? program = options.UseGuard && GuardScript.IsPossibleName(options.TunnelName) ? nft ?? Nft.Find() : null;
        string reason = !options.UseGuard ? "switched off by an option"
            : !GuardScript.IsPossibleName(options.TunnelName) ? $"nft takes no table for a TUN called '{options.TunnelName}'"
            : program is null ? "the program nft (package nftables) is not installed" : "starting";
        _status = GuardStatus.AllOff(reason);
        foreach (var direction in (ReadOnlySpan<PolicyDirection>)[PolicyDirection.In, PolicyDirection.Out, PolicyDirection.Forward])
        {
            _groups[(direction, IpVersion.IPv4)] = new GuardGroup(direction, IpVersion.IPv4);
            _groups[(direction, IpVersion.IPv6)] = new GuardGroup(direction, IpVersion.IPv6);
        }

        if (program is not null)
        {
            _nft = new Nft(program, _script.Table);
            _tally = new GuardTally(_nft.ReadCounters);

            // The first write makes the table, also where there is no policy yet.
            _changes.Post(static () => { });
            _thread = new Thread(Run, StackSize) { Name = "guard", IsBackground = true };
            _thread.Start();
        }
    }

    /// <summary>What is on. Any thread.</summary>
    internal GuardStatus Status => _status;

    internal void Add(GuardPolicy policy) => Post(() => _groups[(policy.Direction, policy.Version)].Add(policy));

    internal void Remove(GuardPolicy policy) => Post(() => _groups[(policy.Direction, policy.Version)].Remove(policy));

    /// <summary>What happens to packets that no policy covers.</summary>
    internal void SetDefault(PolicyDirection direction, bool drops) => Post(() =>
    {
        _groups[(direction, IpVersion.IPv4)].SetDefault(drops);
        _groups[(direction, IpVersion.IPv6)].SetDefault(drops);
    });

    /// <summary>The UDP ports that IKE and encapsulated ESP arrive on.</summary>
    internal void SetPorts(HashSet<ushort> ports) => Post(() =>
    {
        _portsChanged |= !_ports.SetEquals(ports);
        _ports = ports;
    });

    /// <summary>True where there is an nft to run.</summary>
    internal bool HasProgram => _thread is not null;

    /// <summary>The name of the tables.</summary>
    internal string TableName => _script.TableName;

    /// <summary>Looks whether the tables are still there and in force, and makes them again where they are not.</summary>
    internal void Verify() => Post(() => _suspect = true);

    /// <summary>Something of the tables was added, changed or removed by those who have these netlink ports: makes the tables again, unless it was this guard.</summary>
    internal void Verify(IReadOnlyCollection<uint> authors)
    {
        uint[] others = [.. authors.Where(author => !_nft!.IsOwn(author))];
        if (others.Length > 0)
        {
            // Asked once more when a write that runs now has ended: it may be that one.
            Post(() => _foreign |= others.Any(author => !_nft!.IsOwn(author)));
        }
    }

    /// <summary>Waits until everything handed over so far is written, or was refused; false after the timeout.</summary>
    internal bool Flush(TimeSpan timeout) => _thread is null || _changes.Flush(timeout);

    /// <summary>True where everything handed over so far is written, or was refused.</summary>
    internal bool IsSettled => _thread is null || _changes.IsSettled;

    /// <summary>Reads the counters from the kernel (runs nft). Any thread.</summary>
    internal GuardCounters ReadCounters() => _tally?.Read() ?? default;

    /// <summary>Ends the thread and removes the tables.</summary>
    public void Dispose()
    {
        if (_thread is null)
        {
            return;
        }

        _changes.Stop();
        _thread.Join();
        _nft!.Run(_script.Remove(arp: false), Nft.RemoveTimeout);
        _nft.Run(_script.Remove(arp: true), Nft.RemoveTimeout);
    }

    private void Post(Action change)
    {
        if (_thread is not null)
        {
            _changes.Post(change);
        }
    }

    private void Run()
    {
        while (_changes.WaitForAny(LongestWait()))
        {
            long began = Stopwatch.GetTimestamp();
            int handled = ApplyChanges();
            bool putBack = Write();
            _removals.TellDue();
            _changes.Finish(handled, putBack ? RemovalReport.RestAfter(Stopwatch.GetElapsedTime(began), isCovered: false) : TimeSpan.Zero);
        }
    }

    private int LongestWait()
    {
        // What failed once, for want of memory or descriptors, say, is tried again; where nft never worked, only when something changes.
        int wait = _wasWhole && !_whole ? RetryMilliseconds : Timeout.Infinite;
        return _removals.UntilDue is { } due ? (int)Math.Min((uint)wait, due.TotalMilliseconds + 1) : wait;
    }

    /// <summary>A method of its own, so that the thread does not hold the changes, with policies that are gone by then, while it waits for the next.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int ApplyChanges()
    {
        var changes = _changes.Take();
        foreach (var change in changes)
        {
            change();
        }

        return changes.Count;
    }

    /// <summary>
    /// Writes the difference; where the kernel refuses it, because somebody else changed the table, or what was written last did not arrive, writes all anew.
    /// True where it did because another program had changed something.
    /// </summary>
    private bool Write()
    {
        bool changed = _whole && (_foreign || (_suspect && !AreTablesInForce()));
        _foreign = _suspect = false;
        if (_whole && !changed && TryWrite(create: false) is null)
        {
            return false;
        }

        string? refused = _tally!.Replace(() => TryWrite(create: true));
        _whole = refused is null;
        _wasWhole |= _whole;
        if (refused is not null)
        {
            Publish(GuardStatus.AllOff(refused));
        }
        else if (changed || !_status.Clear.IsActive || !_status.Arrival.IsActive)
        {
            Publish(new GuardStatus(new Protection(true, null), Try(_script.CreateMark()), Try(_script.CreateArpMark())));
        }
        else
        {
            Publish(_status with { Arrival = Try(_script.CreateMark()) });
        }

        if (changed && _whole)
        {
            _removals.Add();
        }

        return changed;
    }

    private bool AreTablesInForce() => _nft!.IsInForce(_script.Table) && (!_status.Neighbors.IsActive || _nft.IsInForce(_script.ArpTable));

    private string? TryWrite(bool create)
    {
        var text = new StringBuilder(create ? _script.Create() : "");
        if (create || _portsChanged)
        {
            _script.WriteExemptions(text, [.. _ports.Order()]);
            _portsChanged = false;
        }

        foreach (var group in _groups.Values)
        {
            if (create)
            {
                group.Reset();
            }

            group.Write(text, _script.Table);
        }

        return text.Length == 0 ? null : _nft!.Run(text.ToString());
    }

    private Protection Try(string script) => _nft!.Run(script) is { } refused ? new Protection(false, refused) : new Protection(true, null);

    private void Publish(GuardStatus status)
    {
        if (status != _status)
        {
            _status = status;
            _statusChanged(status);
        }
    }
}
