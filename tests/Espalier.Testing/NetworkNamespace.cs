using System.Globalization;
using System.Text.RegularExpressions;
using Espalier.Io.Interop;

namespace Espalier.Testing;

/// <summary>
/// A network namespace of a test, named <c>espt{pid}-{role}{n}</c>. Code runs inside it on a thread of its own, because a
/// namespace belongs to a thread; sockets and devices opened there stay in it and may be used from any thread.
/// Namespaces whose process died without removing them are removed, with the daemons in them, by the next process that makes one.
/// </summary>
/// <example>
/// <code>
/// using var left = NetworkNamespace.Create("left");
/// using var right = NetworkNamespace.Create("right");
/// left.LinkTo(right, "10.9.0.1/24", "10.9.0.2/24");
/// using var socket = left.Run(() => new UdpEncapsulationSocket(options));
/// </code>
/// </example>
/// <remarks>/sys still shows the namespace in which it was mounted; read /proc/thread-self/net inside <see cref="Run{T}"/> instead.</remarks>
public sealed partial class NetworkNamespace : IDisposable
{
    private static readonly Lock Gate = new();
    private static int s_created;
    private static bool s_cleaned;
    private bool _disposed;

    private NetworkNamespace(string name) => Name = name;

    /// <summary>The name, as <c>ip netns</c> knows it.</summary>
    public string Name { get; }

    /// <summary>Makes a namespace with its loopback interface up. <paramref name="role"/> is a short word for its name.</summary>
    public static NetworkNamespace Create(string role)
    {
        Requirement.Namespaces();
        int number;
        lock (Gate)
        {
            if (!s_cleaned)
            {
                RemoveLeftovers();
                s_cleaned = true;
            }

            number = ++s_created;
        }

        string name = string.Create(CultureInfo.InvariantCulture, $"espt{Environment.ProcessId}-{role}{number}");
        Command.Run("ip", "netns", "add", name);
        var created = new NetworkNamespace(name);
        created.Ip("link set lo up");
        if (Directory.Exists("/proc/sys/net/ipv6"))
        {
            // While a link-local address is tentative, for a second or two, a router solicits no neighbour for the packets it forwards.
            created.Sysctl("ipv6/conf/default/accept_dad", "0");
        }

        return created;
    }

    /// <summary>
    /// Makes a host with strict rp_filter, which a tunnel must work with, and whose ICMP errors no rate holds back; where <paramref name="forwards"/> is set, a router.
    /// </summary>
    public static NetworkNamespace CreateStrict(string role, bool forwards = false)
    {
        var host = Create(role);
        host.Sysctl("ipv4/conf/all/rp_filter", "1");
        host.Sysctl("ipv4/conf/default/rp_filter", "1");
        host.Sysctl("ipv4/icmp_ratelimit", "0");
        host.Sysctl("ipv6/icmp/ratelimit", "0");
        if (forwards)
        {
            host.Sysctl("ipv4/ip_forward", "1");
            host.Sysctl("ipv6/conf/all/forwarding", "1");
        }

        return host;
    }

    /// <summary>Runs <c>ip -n NAME …</c>; the arguments are separated by single spaces. Returns what it printed.</summary>
    public string Ip(string arguments) => Command.Run("ip", ["-n", Name, .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

    /// <summary>Runs a program inside the namespace and returns what it printed.</summary>
    public string Exec(string file, params string[] arguments) => Command.Run("ip", ["netns", "exec", Name, file, .. arguments]);

    /// <summary>Writes a setting below /proc/sys/net of this namespace, e.g. <c>ipv4/ip_forward</c>.</summary>
    public void Sysctl(string path, string value) => Run(() => File.WriteAllText($"/proc/sys/net/{path}", value));

    /// <summary>
    /// Joins this namespace and <paramref name="peer"/> by a veth pair, both ends named <paramref name="device"/> and up, with the
    /// given addresses (prefix notation; IPv6 without duplicate address detection).
    /// </summary>
    public void LinkTo(NetworkNamespace peer, string device, IEnumerable<string> addresses, IEnumerable<string> peerAddresses, int mtu = 1500)
    {
        ArgumentNullException.ThrowIfNull(peer);
        Command.Run("ip", "-n", Name, "link", "add", device, "mtu", Text(mtu), "type", "veth", "peer", "name", device, "mtu", Text(mtu), "netns", peer.Name);
        Configure(this, addresses);
        Configure(peer, peerAddresses);

        void Configure(NetworkNamespace end, IEnumerable<string> list)
        {
            foreach (string address in list)
            {
                end.Ip($"address add {address} dev {device}{(address.Contains(':', StringComparison.Ordinal) ? " nodad" : "")}");
            }

            end.Ip($"link set {device} up");
        }

        static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Runs <paramref name="action"/> inside the namespace, on a thread of its own, and waits for it.</summary>
    public void Run(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        _ = Run(() =>
        {
            action();
            return 0;
        });
    }

    /// <summary>Runs <paramref name="function"/> inside the namespace, on a thread of its own, and returns its result; its exception passes through.</summary>
    public T Run<T>(Func<T> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return OwnThread.Run(() =>
        {
            Enter();
            return function();
        });
    }

    /// <summary>Moves the calling thread into the namespace for good: for threads that a test starts itself.</summary>
    public void Enter()
    {
        using var descriptor = new SafeDescriptor(Libc.open($"/run/netns/{Name}", Files.O_RDONLY | Files.O_CLOEXEC));
        if (descriptor.IsInvalid || Libc.setns(descriptor, Files.CLONE_NEWNET) != 0)
        {
            throw new InvalidOperationException($"cannot enter network namespace {Name}: {Errno.Text(Errno.Last)}");
        }
    }

    /// <summary>Removes the namespace; its devices go as soon as nothing in it is open.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            Command.Try("ip", ["netns", "del", Name]);
        }
    }

    private static void RemoveLeftovers()
    {
        if (!Directory.Exists("/run/netns"))
        {
            return;
        }

        foreach (string path in Directory.GetFiles("/run/netns"))
        {
            var match = OwnName().Match(Path.GetFileName(path));
            if (match.Success && !Directory.Exists($"/proc/{match.Groups[1].Value}"))
            {
                string[] daemons = Command.Try("ip", ["netns", "pids", match.Value]).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
                if (daemons.Length > 0)
                {
                    Command.Try("kill", ["-KILL", .. daemons]);
                }

                Command.Try("ip", ["netns", "del", match.Value]);
            }
        }
    }

    [GeneratedRegex("^espt([0-9]+)-.*$")]
    private static partial Regex OwnName();
}
