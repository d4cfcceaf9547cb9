using System.Diagnostics;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.EndToEnd.Tests.Kernel;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>charon on Espalier with charon on the Linux kernel's own ESP, in a virtual machine.</summary>
public sealed partial class KernelIkeTests
{
    private const int Pings = 600;

    [Fact]
    public async Task Rekey_OfChildByEitherSideAndOfIke_LosesNoPing()
    {
        Assert.SkipUnless(CharonFiles.Programs.All(File.Exists), "needs charon-systemd, swanctl and strongSwan's plugins");
        using var peer = new KernelPeer(ike: true);
        using var folder = new TemporaryFolder("charon");
        using var charon = StartCharon(peer, folder);
        try
        {
            Swanctl("--load-all");
            Swanctl("--initiate --child net-net --timeout 30");
            Assert.Contains("TUNNEL-in-UDP", Swanctl("--list-sas"), StringComparison.Ordinal);
            var errors = (peer.KernelErrors(), peer.Daemon.Stat()["drops"]!.ToJsonString());
            using var ping = peer.Moon.Start($"ping -n -q -c {Pings} -i 0.01 -W 20 -I {TwoHosts.Inner(1, false)} {TwoHosts.Inner(2, false)}");
            var output = ping.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);

            AwaitNewChild(() => Swanctl("--rekey --child net-net"));
            AwaitNewChild(() => peer.InGuest($"swanctl --rekey --child net-net --uri {CharonFiles.GuestVici}"));
            Swanctl("--rekey --ike gw-gw");
            AwaitNewChild(() => Swanctl("--rekey --child net-net"));

            Assert.Contains($"{Pings} received", await output, StringComparison.Ordinal);
            Assert.Equal(errors, (peer.KernelErrors(), peer.Daemon.Stat()["drops"]!.ToJsonString()));
        }
        finally
        {
            charon.Kill();
            charon.WaitForExit();
        }

        string Swanctl(string words) => Shell.Run(
            ["ip", "netns", "exec", peer.Moon.Name, "env", $"SWANCTL_DIR={folder.Path}/swanctl", $"STRONGSWAN_CONF={folder.Path}/strongswan.conf",
                "swanctl", .. words.Split(' '), "--uri", $"unix://{folder.Path}/vici"], seconds: 60).Expect().Output;

        void AwaitNewChild(Action rekey)
        {
            string[] before = Children();
            rekey();
            Wait.Until(() => Children() is [var only] && only != before[^1], () => $"one new CHILD_SA\n{File.ReadAllText($"{folder.Path}/charon.log")}");
        }

        string[] Children() => [.. InboundSpi().Matches(Swanctl("--list-sas")).Select(match => match.Groups[1].Value)];
    }

    private static Process StartCharon(KernelPeer peer, TemporaryFolder folder)
    {
        Directory.CreateDirectory($"{folder.Path}/swanctl");
        folder.Write("strongswan.conf", CharonFiles.Settings(folder.Path, "interfaces_ignore = esp0\n  ignore_routing_tables = 4550 70086 135622"));
        folder.Write(
            "swanctl/swanctl.conf",
            CharonFiles.Connection(Gateways.MoonAt(false), Gateways.SunAt(false), TwoHosts.Net(1, false), TwoHosts.Net(2, false)));
        var charon = Shell.Start(
            ["ip", "netns", "exec", peer.Moon.Name, "env", $"STRONGSWAN_CONF={folder.Path}/strongswan.conf",
                EspalierProgram.Path, "exec", "--control", peer.Daemon.Control, "--", CharonFiles.Daemon]);
        Wait.Until(() => charon.HasExited || File.Exists($"{folder.Path}/vici"), "charon's vici socket");
        return charon;
    }

    // Of a CHILD_SA that is installed, not of one that is being deleted.
    [GeneratedRegex(@"INSTALLED, .*\n.*\n\s+in\s+([0-9a-f]{8})")]
    private static partial Regex InboundSpi();
}
