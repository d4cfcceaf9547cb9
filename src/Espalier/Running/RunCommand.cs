using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Espalier.CommandLine;
using Espalier.Crypto;
using Espalier.Io.Processes;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Routing;
using Microsoft.Extensions.Logging;

namespace Espalier.Running;

/// <summary>`espalier run`: the data plane.</summary>
internal static class RunCommand
{
    private const int LongestInterfaceName = 15;

    private const string Notes = """
        It stays in the foreground, logs to standard error (in systemd's format under a journal), prints 'ready' on standard
        output when programs may connect, and tells systemd (Type=notify, WatchdogSec=). SIGTERM, SIGINT, SIGHUP and SIGQUIT end it:
        TUN, rules, routes, nftables tables and socket are removed, SAs and policies forgotten, keys zeroed.

        What it adds to the host while it runs:
          TUN                the device of --tun, silent: no link-local address, no router solicitation
          ip rule            a few, preferences 210 to 214 (--rule-priority and the four after it), for IPv4 and IPv6: packets without
                             the mark 0x4550 look into table 4550 first
          table 4550         a route into the TUN for each protected destination, and the same as unreachable behind it, so that after
                             a crash protected traffic fails closed until the next start and clean stop; table 70086 (--table + 65536)
                             the same for packets that have no source address yet, table 135622 the way back of what is relayed
                             through lo
          nftables           tables inet and arp espalier_<tun>: drop what arrives or would leave in clear although a policy protects it, and
                             mark what arrives, for strict reverse path filtering; without nft the start says that this is off
          sysctl             net.ipv4.conf.all.src_valid_mark = 1, put back at the end
          sockets            UDP port 4500, beside that of an IKE daemon started with 'espalier exec': one to send and one for each interface
                             to receive; protocol 50; for IPv4 and IPv6

        It needs CAP_NET_ADMIN and CAP_NET_RAW (root, or a user namespace of one's own) and /dev/net/tun. 'espalier doctor' checks.

        Crypto engines: 'system' is System.Security.Cryptography, 'openssl' OpenSSL 3 without what that adds to each call, 'ipsec-mb' Intel's
        multi-buffer library (processors with AES instructions), 'bouncycastle' managed code, slow. An engine does AES-GCM, 'openssl' also
        ChaCha20-Poly1305; all else is done by 'system', and so is everything where the engine is not there or fails its self-test: the log says so.

        Who may connect to the control socket: root, the user who runs this, and whom --allow-user and --allow-group name
        (a daemon that drops its rights, such as charon running as user strongswan, must be named to come back after a restart).

        Examples:
          espalier run
          espalier run --allow-user strongswan --log-level debug
          espalier run --crypto auto
          espalier run --control /run/espalier-b.sock --tun espb --encap-port 0 --table 4551 --rule-priority 215 --mark 0x4551

        Exit codes: 0 stopped by a signal; 1 could not start or lost its device (one line says why and what to do, and nothing
        is left behind); 2 bad option; 70 a bug.
        """;

    /// <summary>The command.</summary>
    internal static Command Create()
    {
        var control = Defaults.ControlOption();
        control.Description = "Control socket to listen on; @NAME is an abstract one";
        var tun = new Option<string>("--tun") { Description = "Name of the TUN device to make", HelpName = "NAME", DefaultValueFactory = _ => "esp0" };
        tun.Validators.Add(CheckInterfaceName);
        var port = Numbers.Option("--encap-port", "UDP port for encapsulated ESP; 0 = none, only protocol 50", 4500, 0, 65535, "PORT");
        var mark = Numbers.Option("--mark", "Firewall mark (SO_MARK) of what must not enter the tunnel; those 0x10000 and 0x20000 above are used too; hexadecimal with 0x, by default 0x4550", Defaults.Mark, 1, uint.MaxValue);
        var table = Numbers.Option("--table", "Routing table for protected destinations", Defaults.Table, 1, uint.MaxValue - 0x10000, objection: RefuseKernelTable);
        var priority = Numbers.Option("--rule-priority", "First of five preferences of the routing rules; before charon's 220 and the main table's 32766", Defaults.RulePriority, 1, 32766 - RoutingOptions.RulePriorities);
        var users = new Option<string[]>("--allow-user") { Description = "A user who may use the control socket; may be repeated", HelpName = "USER" };
        users.Validators.Add(result => CheckNames(result, "user", UserDirectory.FindUser));
        var groups = new Option<string[]>("--allow-group") { Description = "A group whose members may use the control socket; may be repeated", HelpName = "GROUP" };
        groups.Validators.Add(result => CheckNames(result, "group", UserDirectory.FindGroup));
        var buffer = Numbers.Option("--rcvbuf", "Receive buffer of each outer socket, the queue that holds bursts", 4 << 20, 4096, 1 << 30, "BYTES");
        var workers = Numbers.Option("--workers", "Pairs of workers, each an outbound and an inbound thread; by default half the processors, at most 8", (uint)RunOptions.DefaultWorkers, 1, RunOptions.MostWorkers, "N");
        var noMultiqueue = new Option<bool>("--no-multiqueue") { Description = "One queue of the TUN, and so one pair of workers" };
        var spread = new Option<bool>("--spread") { Description = "Several workers seal packets of one outbound SA at once, and send them in the order of their numbers; for few SAs with many flows" };
        var noTso = new Option<bool>("--no-tso") { Description = "Read and write the TUN packet by packet, not as super-packets (TSO, USO)" };
        var noGso = new Option<bool>("--no-udp-gso") { Description = "Send outer UDP packets one by one, not in messages that the kernel cuts (UDP_SEGMENT)" };
        var noGro = new Option<bool>("--no-udp-gro") { Description = "Take outer UDP packets one by one, not joined by the kernel (UDP_GRO)" };
        var crypto = new Option<string>("--crypto") { Description = $"Crypto engine: {string.Join(", ", CryptoEngines.Names)} (the fastest that is there)", HelpName = "ENGINE", DefaultValueFactory = _ => CryptoEngine.System.Name };
        crypto.Validators.Add(CheckEngine);
        var level = new Option<LogLevel>("--log-level") { Description = "trace, debug, information, warning, error, critical or none", HelpName = "LEVEL", DefaultValueFactory = _ => LogLevel.Information };
        level.CustomParser = ParseLevel;

        var command = new Command("run", "Run the data plane in the foreground.") { control, tun, port, mark, table, priority, users, groups, buffer, crypto, workers, spread, noMultiqueue, noTso, noGso, noGro, level };
        NotedHelp.AddTo(command, Notes);
        command.SetAction(parsed => DaemonProgram.Run(
            new RunOptions
            {
                ControlPath = Defaults.Absolute(parsed.GetValue(control)!),
                TunName = parsed.GetValue(tun)!,
                EncapsulationPort = (ushort)parsed.GetValue(port),
                Mark = parsed.GetValue(mark),
                Table = parsed.GetValue(table),
                RulePriority = parsed.GetValue(priority),
                AllowedUsers = [.. (parsed.GetValue(users) ?? []).Select(name => UserDirectory.FindUser(name)!.Value)],
                AllowedGroups = [.. (parsed.GetValue(groups) ?? []).Select(name => UserDirectory.FindGroup(name)!.Value)],
                ReceiveBufferBytes = (int)parsed.GetValue(buffer),
                Crypto = parsed.GetValue(crypto)!,
                Workers = parsed.GetValue(noMultiqueue) ? 1 : (int)parsed.GetValue(workers),
                Spread = parsed.GetValue(spread),
                Tso = !parsed.GetValue(noTso),
                UdpGso = !parsed.GetValue(noGso),
                UdpGro = !parsed.GetValue(noGro),
                LogLevel = parsed.GetValue(level),
            },
            parsed.InvocationConfiguration.Output,
            parsed.InvocationConfiguration.Error));
        return command;
    }

    // The kernel's dev_valid_name, and no '%', which makes a pattern of it.
    private static void CheckInterfaceName(OptionResult result)
    {
        string name = result.GetValueOrDefault<string>() ?? "";
        if (name.Length is 0 or > LongestInterfaceName || name is "." or ".." || name.Any(c => c is <= ' ' or > '~' or '/' or ':' or '%'))
        {
            result.AddError($"--tun takes an interface name of 1 to {LongestInterfaceName} characters without spaces, '/', ':' and '%', not '{name}'");
        }
    }

    // RT_TABLE_DEFAULT, RT_TABLE_MAIN and RT_TABLE_LOCAL.
    private static string? RefuseKernelTable(uint table) =>
        table is >= 253 and <= 255 ? $"--table takes a table of its own, not {table}, which is the kernel's" : null;

    private static void CheckEngine(OptionResult result)
    {
        string name = result.GetValueOrDefault<string>() ?? "";
        if (!CryptoEngines.Names.Contains(name))
        {
            result.AddError($"--crypto takes {string.Join(", ", CryptoEngines.Names.SkipLast(1))} or {CryptoEngines.Names[^1]}, not '{name}'");
        }
    }

    private static void CheckNames(OptionResult result, string kind, Func<string, uint?> find)
    {
        foreach (string name in (result.GetValueOrDefault<string[]>() ?? []).Where(name => find(name) is null))
        {
            result.AddError($"--allow-{kind}: there is no {kind} '{name}'");
        }
    }

    private static LogLevel ParseLevel(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        switch (text.ToLower(CultureInfo.InvariantCulture))
        {
            case "trace": return LogLevel.Trace;
            case "debug": return LogLevel.Debug;
            case "information" or "info": return LogLevel.Information;
            case "warning" or "warn": return LogLevel.Warning;
            case "error": return LogLevel.Error;
            case "critical": return LogLevel.Critical;
            case "none": return LogLevel.None;
            default:
                result.AddError($"--log-level takes trace, debug, information, warning, error, critical or none, not '{text}'");
                return LogLevel.Information;
        }
    }
}
