using System.Diagnostics;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Server;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>
/// Two unmodified strongSwan daemons behind the preload library, each with a control server of this process and no data plane: IKE runs over a
/// veth pair, and what it negotiates must stand in both SADs and SPDs.
/// <code>
/// charon ── server "moon" 192.168.0.1 ══ veth ══ 192.168.0.2 server "sun" ── charon
///           10.1.0.0/16                                      10.2.0.0/16
/// </code>
/// </summary>
public sealed class CharonTests
{
    [Theory]
    [InlineData("aes128gcm16-esn", "", SaFlags.Esn)]
    [InlineData("aes256-sha256", "ipcomp = yes", SaFlags.None)]
    public void Charon_InitiatesRekeysAcquiresAndTerminates(string proposal, string child, SaFlags flags)
    {
        Requirement.Namespaces();
        Requirement.Tool("charon-systemd");
        Requirement.Tool("swanctl");
        using var moonNetwork = NetworkNamespace.Create("moon");
        using var sunNetwork = NetworkNamespace.Create("sun");
        moonNetwork.LinkTo(sunNetwork, "veth", ["192.168.0.1/24"], ["192.168.0.2/24"]);
        using var moon = new Host(moonNetwork, "192.168.0.1", "192.168.0.2", "10.1.0.0/16", "10.2.0.0/16", proposal, child);
        using var sun = new Host(sunNetwork, "192.168.0.2", "192.168.0.1", "10.2.0.0/16", "10.1.0.0/16", proposal, child);
        moon.Load();
        sun.Load();
        Assert.Equal(
            [(InternetAddress.AnyIPv4, (ushort)4500), (InternetAddress.AnyIPv6, (ushort)4500)],
            moon.Server.OnLoop(() => moon.Ports.Held.OrderBy(held => held.Address.Version).ToArray()));

        moon.Control("--initiate", "--child", "c");
        var first = Agree(moon, sun, []);
        Assert.All(first, sa => Assert.Equal(flags, sa.Flags & SaFlags.Esn));
        Assert.Equal(3, moon.Server.OnLoop(() => moon.Server.Database.Spd.Policies.Count()));
        Assert.Equal(3, sun.Server.OnLoop(() => sun.Server.Database.Spd.Policies.Count()));

        moon.Control("--rekey", "--child", "c");
        var second = Agree(moon, sun, first);

        // EXPIRE of a soft limit makes charon rekey by itself.
        var outbound = second.Single(sa => sa.Source == InternetAddress.Parse("192.168.0.1"));
        moon.Post(new IpsecEvent(IpsecEventKind.SoftExpired, outbound, null, default, default, 0, 0));
        var third = Agree(moon, sun, [.. first, .. second]);

        moon.Control("--terminate", "--ike", "t");
        Wait.Until(() => moon.ValidSas().Count == 0 && sun.ValidSas().Count == 0, "both have removed their SAs");

        // A trap policy, and a packet for it: ACQUIRE.
        moon.Control("--install", "--child", "c");
        var policy = moon.Server.OnLoop(() => moon.Server.Database.Spd.Policies.Single(entry => entry.Direction == PolicyDirection.Out));
        var flow = new FlowKey(InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"), 1, 8, 0);
        moon.Post(new IpsecEvent(IpsecEventKind.Acquire, null, policy, flow, default, 0, 0));
        Agree(moon, sun, [.. first, .. second, .. third]);
        Wait.Until(() => moon.Server.OnLoop(() => moon.Server.Database.Sad.All.All(sa => sa.State == SaState.Valid)), "the larval SA is answered");
    }

    // Waits until both hosts have the same new pair of SAs, and compares them.
    private static List<SecurityAssociation> Agree(Host moon, Host sun, List<SecurityAssociation> known)
    {
        List<SecurityAssociation> Fresh(Host host) => [.. host.ValidSas().Where(sa => known.All(old => old.Id != sa.Id)).OrderBy(sa => sa.Id.Spi.Value)];
        Wait.Until(() => Fresh(moon).Count == 2 && Fresh(sun).Count == 2, $"both have new SAs\n{moon.Log}\n{sun.Log}");
        var ours = Fresh(moon);
        var theirs = Fresh(sun);
        Assert.Equal(theirs.Select(sa => (sa.Id, sa.Source)), ours.Select(sa => (sa.Id, sa.Source)));
        Assert.Equal(
            theirs.SelectMany(sa => sa.Algorithms).Select(spec => $"{spec} {Convert.ToHexString(spec.Key)}"),
            ours.SelectMany(sa => sa.Algorithms).Select(spec => $"{spec} {Convert.ToHexString(spec.Key)}"));
        return ours;
    }

    private sealed class Host : IDisposable
    {
        private readonly NetworkNamespace _network;
        private readonly Process _charon;
        private readonly string _directory;

        public Host(NetworkNamespace network, string local, string remote, string localSelector, string remoteSelector, string proposal, string child)
        {
            _network = network;
            _directory = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-charon").FullName;
            Directory.CreateDirectory($"{_directory}/swanctl");
            File.WriteAllText($"{_directory}/strongswan.conf", $$"""
                charon-systemd {
                  load = random nonce openssl pem x509 pubkey constraints revocation kernel-netlink socket-default vici gcm aes sha1 sha2 hmac kdf curve25519
                  install_routes = no
                  plugins { vici { socket = unix://{{_directory}}/vici } }
                  filelog { x { path = {{_directory}}/log
                    default = 1
                    flush_line = yes } }
                  journal { default = -1 }
                }
                """);
            File.WriteAllText($"{_directory}/swanctl/swanctl.conf", $$"""
                connections { t { version = 2
                  local_addrs = {{local}}
                  remote_addrs = {{remote}}
                  proposals = aes128-sha256-x25519
                  local { auth = psk
                    id = {{local}} }
                  remote { auth = psk }
                  children { c { local_ts = {{localSelector}}
                    remote_ts = {{remoteSelector}}
                    esp_proposals = {{proposal}}
                    {{child}}
                  } } } }
                secrets { ike { secret = "0123456789abcdef" } }
                """);
            Server = new ServerHarness(new ControlServerOptions { Path = $"{_directory}/espalier.sock" }, network);
            Server.OnLoop(() => Server.Server.EncapsulationPorts = Ports);
            var start = new ProcessStartInfo("ip") { RedirectStandardError = true, RedirectStandardOutput = true };
            foreach (string argument in (string[])["netns", "exec", network.Name, "env", $"STRONGSWAN_CONF={_directory}/strongswan.conf",
                .. PreloadLibrary.Environment(Server.Path), Requirement.Find("charon-systemd")!])
            {
                start.ArgumentList.Add(argument);
            }

            _charon = Process.Start(start)!;
            _charon.BeginErrorReadLine();
            _charon.BeginOutputReadLine();
        }

        public ServerHarness Server { get; }

        public RecordedPorts Ports { get; } = new();

        public string Log => File.Exists($"{_directory}/log") ? string.Join('\n', File.ReadAllLines($"{_directory}/log").TakeLast(20)) : "(no log)";

        public void Load()
        {
            Wait.Until(() => File.Exists($"{_directory}/vici") || _charon.HasExited, "charon answers");
            Assert.False(_charon.HasExited, Log);
            Control("--load-all");
        }

        public void Control(params string[] arguments)
        {
            var result = Command.Try(
                "ip",
                ["netns", "exec", _network.Name, "env", $"SWANCTL_DIR={_directory}/swanctl", "swanctl", .. arguments, "--uri", $"unix://{_directory}/vici"]);
            Assert.True(result.ExitCode == 0, $"{result.Output}{result.Error}\n{Log}");
        }

        public List<SecurityAssociation> ValidSas() => Server.OnLoop(() => Server.Database.Sad.All.Where(sa => sa.State == SaState.Valid).ToList());

        public void Post(IpsecEvent value) => Server.OnLoop(() => Server.Database.Events.TryPost(value));

        public void Dispose()
        {
            // `ip netns exec` becomes charon itself.
            Command.Try("kill", ["-TERM", $"{_charon.Id}"]);
            if (!_charon.WaitForExit(10_000))
            {
                _charon.Kill();
            }

            _charon.Dispose();
            Server.Dispose();
            Directory.Delete(_directory, recursive: true);
        }
    }
}
