using System.Diagnostics;
using Espalier.Io.Batches;
using Espalier.Io.Tun;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Testing;
using Espalier.Wire.Packets;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>
/// A host whose policies are routed into a TUN that the test reads, and a peer:
/// <code>
///   host: eth0 192.168.0.1, fd00:9::1 ─── veth ─── eth0 192.168.0.2, fd00:9::2 :peer
///         TUN esp0 (the test)                      default route of the host
/// </code>
/// </summary>
internal sealed class RoutedHost : IDisposable
{
    private readonly PacketBatch _batch = new(32, 10_240, 128);
    private readonly CollectingLogger _logger = new();

    public RoutedHost(bool start = true, RoutingOptions? options = null)
    {
        Requirement.Tun();
        Requirement.Tool("nft");
        Host = NetworkNamespace.Create("host");
        Peer = NetworkNamespace.Create("peer");
        Host.LinkTo(Peer, "eth0", ["192.168.0.1/24", "fd00:9::1/64"], ["192.168.0.2/24", "fd00:9::2/64"]);
        Host.Ip("route add default via 192.168.0.2");
        Host.Ip("-6 route add default via fd00:9::2");
        Options = options ?? new RoutingOptions { TunnelName = "esp0" };
        if (start)
        {
            try
            {
                Start();
            }
            catch
            {
                Dispose();
                throw;
            }
        }
    }

    public NetworkNamespace Host { get; }

    public NetworkNamespace Peer { get; }

    public RoutingOptions Options { get; }

    public IpsecDatabase Database { get; private set; } = new();

    public TunDevice Tunnel { get; private set; } = null!;

    public RoutingController Controller { get; private set; } = null!;

    public IReadOnlyList<string> Log => _logger.Lines;

    /// <summary>Opens the TUN and starts the routing.</summary>
    public void Start() => Host.Run(() =>
    {
        Tunnel = TunDevice.Create(Options.TunnelName);
        Controller = new RoutingController(Database, Options, _logger);
        Controller.Start();
    });

    /// <summary>What a killed process leaves: the TUN goes, nothing is cleaned up. Start makes the next run.</summary>
    public void Crash()
    {
        Tunnel.Dispose();
        Database = new IpsecDatabase();
    }

    public void Add(params IEnumerable<SecurityPolicy> policies) => Host.Run(() =>
    {
        using (Database.Freeze())
        {
            foreach (var policy in policies)
            {
                Database.Spd.AddOrReplace(policy);
            }
        }

        Controller.Process();
    });

    public void Remove(params IEnumerable<SecurityPolicy> policies) => Host.Run(() =>
    {
        using (Database.Freeze())
        {
            foreach (var policy in policies)
            {
                Assert.True(Database.Spd.Remove(policy));
            }
        }

        Controller.Process();
    });

    public void Add(SecurityAssociation association) => Host.Run(() =>
    {
        using (Database.Freeze())
        {
            Assert.True(Database.Sad.TryAdd(association));
        }

        Controller.Process();
    });

    public void Remove(SecurityAssociation association) => Host.Run(() =>
    {
        using (Database.Freeze())
        {
            Assert.True(Database.Sad.Remove(association));
        }

        Controller.Process();
    });

    /// <summary>Runs the control thread's turns until <paramref name="condition"/> holds, false where it does not in time.</summary>
    public bool ProcessUntil(Func<bool> condition) => Host.Run(() => Wait.For(() =>
    {
        Controller.Process();
        return condition();
    }));

    public GuardCounters GuardCounters() => Host.Run(Controller.ReadGuardCounters);

    public void FlushGuard() => Assert.True(Controller.FlushGuard(TimeSpan.FromSeconds(120)));

    /// <summary>The packets that reach the TUN until one satisfies <paramref name="wanted"/>, or within the time.</summary>
    public IReadOnlyList<PacketSummary> ReadTunnel(Func<PacketSummary, bool> wanted, int milliseconds = 3000)
    {
        List<PacketSummary> packets = [];
        for (var clock = Stopwatch.StartNew(); clock.ElapsedMilliseconds < milliseconds;)
        {
            _batch.Clear();
            int count = Tunnel.Receive(_batch);
            for (int i = 0; i < count; i++)
            {
                Assert.True(InnerPacketParser.TryParse(_batch.Packet(i), out var summary));
                packets.Add(summary);
            }

            if (packets.Any(wanted))
            {
                break;
            }

            Thread.Sleep(count == 0 ? 5 : 0);
        }

        return packets;
    }

    /// <summary>What a table holds; empty where it does not exist.</summary>
    public string Routes(string table, string family = "-4") => Try($"ip {family} route show table {table}").Output;

    /// <summary>Espalier's rules of a family.</summary>
    public List<string> RuleLines(string family) =>
        [.. Host.Ip($"{family} rule").Split('\n').Where(line => line.Contains("proto 69", StringComparison.Ordinal))];

    /// <summary>Runs a program on the host without caring for its exit code.</summary>
    public CommandResult Try(string commandLine) => Try(Host, commandLine);

    public static CommandResult Try(NetworkNamespace where, string commandLine) =>
        Command.Try("ip", ["netns", "exec", where.Name, .. commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

    /// <summary>A packet of this destination and source reaches the TUN.</summary>
    public void AssertCaught(string destination, string source, Func<PacketSummary, bool> which)
    {
        var packets = ReadTunnel(which);
        Assert.Contains(packets, packet => which(packet) && packet.Source == Build.Ip(source) && packet.Destination == Build.Ip(destination));
    }

    public void Dispose()
    {
        Host.Run(() => Controller?.Dispose());
        Tunnel?.Dispose();
        Host.Dispose();
        Peer.Dispose();
    }

    private sealed class CollectingLogger : ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines)
                {
                    return [.. _lines];
                }
            }
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines)
            {
                _lines.Add($"{logLevel}: {formatter(state, exception)}");
            }
        }
    }
}
