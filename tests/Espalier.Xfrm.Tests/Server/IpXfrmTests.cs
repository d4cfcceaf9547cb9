using System.Diagnostics;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>The real `ip xfrm` of iproute2, behind the preload library, against a control server in this process.</summary>
public sealed class IpXfrmTests
{
    private const string Aead = "aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128";

    [Fact]
    public void StateAdd_WithEverything_IsShownAsGiven()
    {
        using var server = new ServerHarness();

        Ip(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 reqid 7 mode tunnel replay-window 128 flag esn {Aead} "
            + "encap espinudp 4500 4501 0.0.0.0 sel src 10.1.0.0/16 dst 10.2.0.0/16 proto udp dport 53 limit time-hard 3600 limit byte-soft 1000000 limit packet-hard 77 "
            + "extra-flag dont-encap-dscp");
        string shown = Ip(server, "-s state");

        Assert.Contains("src 192.0.2.1 dst 192.0.2.2", shown, StringComparison.Ordinal);
        Assert.Contains("proto esp spi 0x00001000(4096) reqid 7", shown, StringComparison.Ordinal);
        Assert.Contains("mode tunnel", shown, StringComparison.Ordinal);
        Assert.Contains("esn", shown, StringComparison.Ordinal);
        Assert.Contains("extra_flag dont-encap-dscp", shown, StringComparison.Ordinal);
        Assert.Contains("aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 (160 bits) 128", shown, StringComparison.Ordinal);
        Assert.Contains("encap type espinudp sport 4500 dport 4501 addr 0.0.0.0", shown, StringComparison.Ordinal);
        Assert.Contains("replay_window 128, bitmap-length 4", shown, StringComparison.Ordinal);
        Assert.Contains("sel src 10.1.0.0/16 dst 10.2.0.0/16 proto udp dport 53", shown, StringComparison.Ordinal);
        Assert.Contains("limit: soft 1000000(bytes), hard (INF)(bytes)", shown, StringComparison.Ordinal);
        Assert.Contains("limit: soft (INF)(packets), hard 77(packets)", shown, StringComparison.Ordinal);
        Assert.Contains("expire add: soft 0(sec), hard 3600(sec)", shown, StringComparison.Ordinal);
        Assert.Contains("replay-window 0 replay 0 failed 0", shown, StringComparison.Ordinal);
    }

    [Fact]
    public void StateAdd_WithSeparateAlgorithms_IsShownCanonically()
    {
        using var server = new ServerHarness();

        Ip(server, "state add src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1000 mode tunnel "
            + "enc aes 0x00112233445566778899aabbccddeeff auth sha256 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        string shown = Ip(server, "state get src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x1000");

        Assert.Contains("src 2001:db8::1 dst 2001:db8::2", shown, StringComparison.Ordinal);
        Assert.Contains("auth-trunc hmac(sha256) 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 96", shown, StringComparison.Ordinal);
        Assert.Contains("enc cbc(aes) 0x00112233445566778899aabbccddeeff", shown, StringComparison.Ordinal);
    }

    [Fact]
    public void State_DeleteFlushCountAndDeleteAll_Work()
    {
        using var server = new ServerHarness();
        for (int i = 0; i < 5; i++)
        {
            Ip(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x{0x1000 + i:x} mode tunnel {Aead}");
        }

        Ip(server, "state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000");
        Assert.Contains("SAD count 4", Ip(server, "state count"), StringComparison.Ordinal);
        var missing = Try(server, "state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000");
        Assert.Contains("No such process", missing.Error, StringComparison.Ordinal);

        Ip(server, "state deleteall spi 0x1001");
        Assert.Equal(3, server.OnLoop(() => server.Database.Sad.Count));
        Ip(server, "state deleteall");
        Assert.Equal(0, server.OnLoop(() => server.Database.Sad.Count));

        Ip(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead}");
        Ip(server, "state flush");
        Ip(server, "state flush");
        Assert.Equal("", Ip(server, "state"));
    }

    [Fact]
    public void Policy_AddUpdateGetDeleteDefault_Work()
    {
        using var server = new ServerHarness();
        const string template = "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 7 mode tunnel";

        Ip(server, $"policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 100 {template}");
        Ip(server, "policy add src 2001:db8:1::/48 dst ::/0 proto tcp dport 22 dir in action block priority 3");
        string shown = Ip(server, "policy");
        Assert.Contains("src 10.1.0.0/16 dst 10.2.0.0/16", shown, StringComparison.Ordinal);
        Assert.Contains("dir out priority 100 ptype main", shown, StringComparison.Ordinal);
        Assert.Contains("tmpl src 192.0.2.1 dst 192.0.2.2", shown, StringComparison.Ordinal);
        Assert.Contains("proto esp reqid 7 mode tunnel", shown, StringComparison.Ordinal);
        Assert.Contains("dir in action block priority 3", shown, StringComparison.Ordinal);

        Assert.Contains("File exists", Try(server, $"policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out {template}").Error, StringComparison.Ordinal);
        Ip(server, $"policy update src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 5 {template}");
        Assert.Contains("priority 5", Ip(server, "policy get src 10.1.0.0/16 dst 10.2.0.0/16 dir out"), StringComparison.Ordinal);
        Assert.Contains("SPD IN  1 OUT 1 FWD 0", Ip(server, "policy count"), StringComparison.Ordinal);

        Ip(server, "policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out");
        Assert.Contains("No such file", Try(server, "policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out").Error, StringComparison.Ordinal);
        Ip(server, "policy setdefault in block fwd accept out block");
        Assert.Contains("in:  block", Ip(server, "policy getdefault"), StringComparison.Ordinal);
        Assert.True(server.Database.Spd.DefaultBlocks[(int)PolicyDirection.Out]);
        Ip(server, "policy deleteall");
        Ip(server, "policy flush");
        Assert.Equal("", Ip(server, "policy"));
    }

    [Theory]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode transport {Aead}", "transport")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode beet {Aead}", "BEET")]
    [InlineData("state add src 192.0.2.1 dst 192.0.2.2 proto ah spi 0x1000 mode tunnel auth sha1 0x0102030405060708090a0b0c0d0e0f1011121314", "AH is not supported")]
    [InlineData("state add src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x100 mode tunnel comp deflate", "IPComp is not supported")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel mark 5 mask 0xff {Aead}", "Marks")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel if_id 7 {Aead}", "if_id")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel output-mark 7 {Aead}", "SET_MARK")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead} offload dev lo dir in", "offload")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead} ctx system_u:object_r:x:s0", "Security contexts")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead} encap espintcp 4500 4500 0.0.0.0", "espintcp")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead} extra-flag oseq-may-wrap", "oseq-may-wrap")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel {Aead} sel dev lo", "dev")]
    [InlineData($"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0 mode tunnel {Aead}", "SPI 0")]
    [InlineData("state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel enc cbc(serpent) 0x0102030405060708090a0b0c0d0e0f10", "serpent")]
    [InlineData("state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel aead rfc4106(gcm(aes)) 0x01020304 128", "key")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode transport", "transport")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto ah mode tunnel", "AH is not supported")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in tmpl src 192.0.2.1 dst 192.0.2.2 proto comp mode tunnel level use", "IPComp")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel level use", "ptional")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl proto esp mode tunnel tmpl proto esp mode tunnel", "more than one template")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dev lo dir out", "dev")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out ptype sub", "sub")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out mark 1 mask 1", "Marks")]
    [InlineData("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out if_id 9", "if_id")]
    [InlineData("state allocspi src 192.0.2.1 dst 192.0.2.2 proto comp mode tunnel min 0x100 max 0x200", "IPComp")]
    public void WhatIsNotSupported_IsRefusedByNameAndChangesNothing(string arguments, string named)
    {
        using var server = new ServerHarness();

        var result = Try(server, arguments);

        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains(named, result.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, server.OnLoop(() => server.Database.Sad.Count));
        Assert.Empty(server.OnLoop(() => server.Database.Spd.Policies.ToArray()));
    }

    [Fact]
    public void AllocSpi_ThenUpdate_MakesTheLarvalSaValid()
    {
        using var server = new ServerHarness();

        string larval = Ip(server, "state allocspi src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel reqid 3 min 0x5000 max 0x5000");
        Assert.Contains("proto esp spi 0x00005000", larval, StringComparison.Ordinal);
        Assert.Contains("File exists", Try(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x5000 mode tunnel {Aead}").Error, StringComparison.Ordinal);
        Ip(server, $"state update src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x5000 mode tunnel reqid 3 {Aead}");

        var sa = server.OnLoop(() => Assert.Single(server.Database.Sad.All));
        Assert.Equal(SaState.Valid, sa.State);
        Assert.Equal(new Spi(0x5000), sa.Id.Spi);
        Assert.NotNull(sa.Transform);
    }

    [Fact]
    public void Monitor_ShowsEveryKindOfEvent()
    {
        Requirement.Tool("stdbuf");
        using var server = new ServerHarness();
        using var monitor = StartMonitor(server);
        Wait.Until(() => server.Listens(XfrmGroup.Mapping), "the monitor listens");

        Ip(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 reqid 7 mode tunnel {Aead} encap espinudp 4500 4500 0.0.0.0");
        Ip(server, $"state update src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 reqid 7 mode tunnel {Aead} encap espinudp 4500 4500 0.0.0.0");
        Ip(server, "policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.9 proto esp reqid 7 mode tunnel");
        server.OnLoop(() =>
        {
            var sa = server.Database.Sad.All.Single();
            var policy = server.Database.Spd.Policies.Single();
            var flow = new FlowKey(InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"), 17, 1111, 53);
            server.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.Mapping, sa, null, default, InternetAddress.Parse("198.51.100.7"), 1024, 0));
            server.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.Acquire, null, policy, flow, default, 0, 0));
            server.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.SoftExpired, sa, null, default, default, 0, 0));
            server.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.HardExpired, sa, null, default, default, 0, 0));
            return 0;
        });
        Ip(server, "policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out");
        Ip(server, $"state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 mode tunnel {Aead}");
        Ip(server, "state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001");
        Ip(server, "policy setdefault in block fwd block out block");
        Ip(server, "state flush");
        string output = ReadUntil(monitor, "Flushed state");

        Assert.Contains("Updated src 192.0.2.1 dst 192.0.2.2", output, StringComparison.Ordinal);
        Assert.Contains("Mapping change 192.0.2.1:4500 -> 198.51.100.7:1024", output.Replace("\n", " ", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
        Assert.Contains("acquire proto esp", output, StringComparison.Ordinal);
        Assert.Contains("sel src 10.1.0.1/32 dst 10.2.0.1/32 proto udp sport 1111 dport 53", output, StringComparison.Ordinal);
        Assert.Contains("policy src 10.1.0.0/16 dst 10.2.0.0/16", output, StringComparison.Ordinal);
        Assert.Contains("hard 0", output, StringComparison.Ordinal);
        Assert.Contains("hard 1", output, StringComparison.Ordinal);
        Assert.Contains("Deleted src 10.1.0.0/16 dst 10.2.0.0/16", output, StringComparison.Ordinal);
        Assert.Contains("Deleted src 192.0.2.1 dst 192.0.2.2", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Batch_WithSeveralSockets_Works()
    {
        using var server = new ServerHarness();
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, Enumerable.Range(0, 50).Select(i => $"xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x{0x1000 + i:x} mode tunnel {Aead}"));
            Command.Run("env", [.. PreloadLibrary.Environment(server.Path), "ip", "-batch", file]);
        }
        finally
        {
            File.Delete(file);
        }

        Assert.Equal(50, server.OnLoop(() => server.Database.Sad.Count));
        string shown = Ip(server, "state");
        Assert.Equal(50, shown.Split("proto esp spi").Length - 1);
    }

    private static CommandResult Try(ServerHarness server, string arguments)
    {
        Requirement.Tool("ip");
        return Command.Try("env", [.. PreloadLibrary.Environment(server.Path), "ip", .. Words(arguments)]);
    }

    private static string Ip(ServerHarness server, string arguments)
    {
        Requirement.Tool("ip");
        return Command.Run("env", [.. PreloadLibrary.Environment(server.Path), "ip", .. Words(arguments)]);
    }

    // "-s state" is an option of ip itself.
    private static string[] Words(string arguments)
    {
        string[] words = arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words[0][0] == '-' ? [words[0], "xfrm", .. words[1..]] : ["xfrm", .. words];
    }

    private static Process StartMonitor(ServerHarness server)
    {
        Requirement.Tool("ip");
        var start = new ProcessStartInfo("env") { RedirectStandardOutput = true };
        foreach (string argument in (string[])["stdbuf", "-oL", "env", .. PreloadLibrary.Environment(server.Path), "ip", "xfrm", "monitor"])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    private static string ReadUntil(Process monitor, string last)
    {
        var lines = new List<string>();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        try
        {
            while (monitor.StandardOutput.ReadLineAsync(limit.Token).AsTask().GetAwaiter().GetResult() is { } line)
            {
                lines.Add(line);
                if (line.Contains(last, StringComparison.Ordinal))
                {
                    break;
                }
            }
        }
        catch (OperationCanceledException)
        {
            lines.Add("(no more within 30 s)");
        }

        monitor.Kill(entireProcessTree: true);
        monitor.WaitForExit();
        return string.Join('\n', lines);
    }
}
