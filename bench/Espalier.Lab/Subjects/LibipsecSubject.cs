using System.Globalization;
using System.Text;
using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>strongSwan's charon with kernel-libipsec from Debian on both hosts, IKEv2 with a shared key, ESP aes128gcm16.</summary>
internal sealed class LibipsecSubject() : Subject("libipsec", "")
{
    /// <summary>Number of the unused network of the CHILD_SA that shows whether IKE still answers.</summary>
    private const int Probe = 65535;

    private const string Charon = "/usr/sbin/charon-systemd", Plugin = "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so";

    /// <inheritdoc/>
    public override bool Scales => true;

    /// <inheritdoc/>
    public override Task<string?> WhatIsMissingAsync(CancellationToken cancellation) => Task.FromResult(
        File.Exists(Charon) && File.Exists(Plugin) && Shell.Has("swanctl")
            ? null
            : "strongSwan's kernel-libipsec is missing: apt-get install charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins");

    /// <inheritdoc/>
    public override async Task<string> VersionAsync(CancellationToken cancellation) =>
        "strongSwan " + (await Shell.TryAsync(["dpkg-query", "-W", "-f", "${Version}", "libcharon-extra-plugins"], cancellation).ConfigureAwait(false)).Output;

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            // kernel-libipsec installs a policy only where the host has an address in it.
            await host.IpBatchAsync(string.Concat(AllUnused(host, options.Associations).Select(prefix => $"addr add {prefix} dev lo\n")), cancellation).ConfigureAwait(false);
            Directory.CreateDirectory(host.File("swanctl"));
            await File.WriteAllTextAsync(host.File("strongswan.conf"), Strongswan(host), cancellation).ConfigureAwait(false);
            await File.WriteAllTextAsync(host.File("swanctl/swanctl.conf"), Connections(host, other, options.Associations), cancellation).ConfigureAwait(false);
            StartDaemon(host, options, new Dictionary<string, string> { ["STRONGSWAN_CONF"] = host.File("strongswan.conf") }, Charon);
        }

        foreach (var host in bed.Hosts)
        {
            await WaitForStartAsync(host, "charon", () => Task.FromResult(File.Exists(host.File("vici"))), cancellation).ConfigureAwait(false);
            await SwanctlAsync(host, cancellation, "--load-all").ConfigureAwait(false);
        }

        // By name one after the other: the one that carries the traffic stands in the middle, as with the other subjects.
        var lines = new StringBuilder();
        for (int i = 0; i < options.Associations; i++)
        {
            string child = i == options.Associations / 2 ? "c" : string.Create(CultureInfo.InvariantCulture, $"unused{i}");
            lines.AppendLine(CultureInfo.InvariantCulture, $"swanctl --initiate --child {child} --uri unix://{bed.Moon.File("vici")} >$OUT 2>&1 || {{ cat $OUT; exit 1; }}");
        }

        await Shell.RunAsync(["env", $"SWANCTL_DIR={bed.Moon.File("swanctl")}", $"OUT={bed.Moon.File("initiate")}", .. bed.Moon.Command("sh")], cancellation, lines.ToString()).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async Task<bool?> ControlAnswersAsync(Testbed bed, CancellationToken cancellation)
    {
        // A new CHILD_SA needs both charons to answer IKE.
        var rekey = await Shell.TryAsync(
            ["timeout", "5", "env", $"SWANCTL_DIR={bed.Moon.File("swanctl")}", .. bed.Moon.Command("swanctl", "--initiate", "--child", "probe", "--timeout", "4", "--uri", $"unix://{bed.Moon.File("vici")}")],
            cancellation).ConfigureAwait(false);
        return rekey.ExitCode == 0;
    }

    private static Task<string> SwanctlAsync(NetHost host, CancellationToken cancellation, params string[] arguments) => Shell.RunAsync(
        ["env", $"SWANCTL_DIR={host.File("swanctl")}", .. host.Command(["swanctl", .. arguments, "--uri", $"unix://{host.File("vici")}"])], cancellation);

    private static string Strongswan(NetHost host) =>
        $$"""
        charon-systemd {
          load = random nonce openssl pem x509 pubkey constraints revocation kernel-libipsec kernel-netlink socket-default vici gcm aes sha1 sha2 hmac kdf curve25519
          plugins { vici { socket = unix://{{host.File("vici")}} } }
          filelog { x { path = {{host.File("log")}}
            default = 1 } }
          journal { default = -1 }
        }

        """;

    private static string Connections(NetHost host, NetHost other, int associations)
    {
        var children = new StringBuilder();
        void Child(string name, string here, string there) => children.AppendLine(CultureInfo.InvariantCulture,
            $"    {name} {{ local_ts = {here}\n      remote_ts = {there}\n      esp_proposals = aes128gcm16 }}");
        Child("c", $"{host.InnerPrefix},{host.InnerPrefix6}", $"{other.InnerPrefix},{other.InnerPrefix6}");
        Child("probe", Unused(host, Probe), Unused(other, Probe));
        for (int i = 0; i < associations; i++)
        {
            if (i != associations / 2)
            {
                Child(string.Create(CultureInfo.InvariantCulture, $"unused{i}"), Unused(host, i), Unused(other, i));
            }
        }

        return $$"""
            connections { t { version = 2
              local_addrs = {{host.Outer}}
              remote_addrs = {{other.Outer}}
              proposals = aes128-sha256-x25519
              local { auth = psk
                id = {{host.Name}} }
              remote { auth = psk }
              children {
            {{children}}  } } }
            secrets { ike { secret = "0123456789abcdef" } }

            """;
    }

    private static IEnumerable<string> AllUnused(NetHost host, int associations) =>
        Enumerable.Range(0, associations).Where(i => i != associations / 2).Append(Probe).Select(i => Unused(host, i));

    private static string Unused(NetHost host, int index) =>
        string.Create(CultureInfo.InvariantCulture, $"172.{(host.Name == "moon" ? 16 : 24)}.{(index >> 8) & 255}.{index & 255}/32");
}
