using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Every command of `ip xfrm` against one daemon: what it answers, what monitor shows, what is refused and in which words.</summary>
public sealed class IpXfrmTests
{
    private const string Ends = "src 192.168.0.1 dst 192.168.0.2 proto esp";
    private const string Key = "aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128";
    private const string Selector = "src 10.1.0.0/16 dst 10.2.0.0/16";
    private const string Template = "tmpl src 192.168.0.1 dst 192.168.0.2 proto esp reqid 1 mode tunnel";

    /// <summary>What `ip xfrm` can ask for and Espalier does not do, with words of the refusal.</summary>
    public static TheoryData<string, string> Refused { get; } = new()
    {
        { $"state add {Ends} spi 0x200 mode transport {Key}", "Transport mode is not supported by Espalier" },
        { $"state add {Ends} spi 0x200 mode beet {Key}", "BEET mode is not supported by Espalier" },
        { $"state add {Ends} spi 0x200 mode tunnel offload dev lo dir in {Key}", "Hardware offload (XFRMA_OFFLOAD_DEV) is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel ctx system_u:x:y {Key}", "Security contexts (XFRMA_SEC_CTX) are not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel output-mark 5 {Key}", "Output marks (XFRMA_SET_MARK) are not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel mark 5 mask 0xff {Key}", "Marks other than 0 (XFRMA_MARK) are not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel if_id 7 {Key}", "XFRM interfaces (if_id other than 0) are not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel extra-flag oseq-may-wrap {Key}", "oseq-may-wrap is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel encap espintcp 4500 4500 0.0.0.0 {Key}", "ESP in TCP (encap espintcp) is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel encap espinudp 0 4500 0.0.0.0 {Key}", "UDP port 0 (encap espinudp) is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel encap espinudp 4500 0 0.0.0.0 {Key}", "UDP port 0 (encap espinudp) is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel encap espinudp-nonike 4500 4500 0.0.0.0 {Key}", "This encapsulation type is not supported" },
        { $"state add {Ends} spi 0x200 mode tunnel sel dev lo {Key}", "Selectors with an interface (dev) are not supported" },
        { "state add src 192.168.0.1 dst 192.168.0.2 proto ah spi 0x200 mode tunnel auth hmac(sha1) 0x0102030405060708090a0b0c0d0e0f1011121314", "AH is not supported by Espalier" },
        { "state add src 192.168.0.1 dst 192.168.0.2 proto comp spi 0x200 mode tunnel comp deflate", "IPComp is not supported by Espalier" },
        { "state add src ::1 dst ::2 proto hao mode ro coa ::3", "Mobile IPv6 headers are not supported" },
        { $"state add {Ends} spi 0 mode tunnel {Key}", "SPI 0 is never sent" },
        { $"state add {Ends} spi 0x200 mode tunnel enc ecb(cipher_null) 0x auth digest_null 0x", "null" },
        { $"state add {Ends} spi 0x200 mode tunnel aead rfc4106(gcm(aes)) 0x01020304 128", "key" },
        { $"state add {Ends} spi 0x200 mode tunnel aead rfc9999(x) 0x01020304 128", "rfc9999(x)" },
        { $"policy add {Selector} dir out tmpl src 1.1.1.1 dst 2.2.2.2 proto ah mode tunnel", "AH is not supported by Espalier" },
        { $"policy add {Selector} dir out tmpl src 1.1.1.1 dst 2.2.2.2 proto comp mode tunnel", "IPComp is not supported by Espalier" },
        { $"policy add {Selector} dir out tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode transport", "Transport mode is not supported by Espalier" },
        { $"policy add {Selector} dir in tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode beet", "BEET mode is not supported by Espalier" },
        { $"policy add {Selector} dir in tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode tunnel level use", "Optional templates (level use) are not supported" },
        { $"policy add {Selector} dir in {Template} tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode tunnel", "Policies with more than one template" },
        { $"policy add {Selector} dir in mark 5 {Template}", "Marks other than 0 (XFRMA_MARK) are not supported" },
        { $"policy add {Selector} dir in if_id 5 {Template}", "XFRM interfaces (if_id other than 0) are not supported" },
        { $"policy add {Selector} dir in ptype sub {Template}", "Sub policies (ptype sub) are not supported" },
        { $"policy add {Selector} dir in ctx a:b:c {Template}", "Security contexts (XFRMA_SEC_CTX) are not supported" },
        { $"policy add {Selector} dev lo dir in {Template}", "Selectors with an interface (dev) are not supported" },
    };

    [Fact]
    public void IpXfrm_EveryUnsupportedFeature_IsRefusedInItsWordsAndChangesNothing()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        foreach (var row in Refused)
        {
            var (words, named) = row.Data;
            var result = daemon.Exec($"ip xfrm {words}");
            Assert.True(result.ExitCode == 2, $"{words}: exit code {result.ExitCode}");
            Assert.Contains(named, result.Error, StringComparison.OrdinalIgnoreCase);
        }

        Assert.Equal("", daemon.Exec("ip xfrm state").Expect().Output + daemon.Exec("ip xfrm policy").Expect().Output);
        Assert.Equal(Refused.Count, (int)daemon.Stat()["controlSocket"]!["errors"]!);
    }

    [Fact]
    public void State_EveryCommand_AnswersAsTheKernelDoes()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        string Ip(string words) => daemon.Exec($"ip xfrm state {words}").Expect().Output;
        string Fails(string words)
        {
            var result = daemon.Exec($"ip xfrm state {words}");
            Assert.Equal(2, result.ExitCode);
            return result.Error.Trim();
        }

        Ip($"add {Ends} spi 0x100 mode tunnel reqid 5 replay-window 32 flag noecn decap-dscp nopmtudisc {Key} limit byte-soft 1000");
        Ip($"add src fec0::1 dst fec0::2 proto esp spi 0x101 mode tunnel reqid 6 flag esn replay-window 4096 extra-flag dont-encap-dscp tfcpad 512 {Key}");
        Ip($"add src 192.168.0.3 dst 192.168.0.2 proto esp spi 0x102 mode tunnel reqid 6 sel src 10.0.0.0/8 dst 11.0.0.0/8 proto tcp sport 5 dport 6 {Key}");

        Assert.Equal("RTNETLINK answers: File exists", Fails($"add {Ends} spi 0x100 mode tunnel {Key}"));
        Assert.Contains("flag noecn decap-dscp nopmtudisc", Ip($"get {Ends} spi 0x100"), StringComparison.Ordinal);
        string six = Ip("get src fec0::1 dst fec0::2 proto esp spi 0x101");
        Assert.Contains("replay_window 4096", six, StringComparison.Ordinal);
        Assert.Contains("dont-encap-dscp", daemon.Exec("ip -s xfrm state list reqid 6").Expect().Output, StringComparison.Ordinal);
        Assert.Contains("tfcpad 512", six, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("sel src 10.0.0.0/8 dst 11.0.0.0/8 proto tcp sport 5 dport 6", Ip("list reqid 6 src 192.168.0.3"), StringComparison.Ordinal);
        Assert.Equal("SAD count 3", Ip("count").Trim());
        Assert.Equal((3, 2, 1, 1, 0, 3), (Count(Ip("list")), Count(Ip("list reqid 6")), Count(Ip("list src 192.168.0.1")), Count(Ip("list spi 0x102")), Count(Ip("list reqid 9")), Count(Ip("list mode tunnel"))));
        Assert.Contains("<<Keys hidden>>", Ip("list nokeys"), StringComparison.Ordinal);
        Assert.Equal("RTNETLINK answers: No such process", Fails($"get {Ends} spi 0x999"));

        Ip($"update {Ends} spi 0x100 mode tunnel reqid 5 {Key} limit byte-soft 2000");
        Assert.Contains("soft 2000(bytes)", daemon.Exec($"ip -s xfrm state get {Ends} spi 0x100").Expect().Output, StringComparison.Ordinal);
        Assert.Equal("RTNETLINK answers: No such process", Fails($"update {Ends} spi 0x999 mode tunnel {Key}"));

        Assert.Contains("spi 0x00001000", Ip($"allocspi {Ends} reqid 3 mode tunnel min 0x1000 max 0x1000"), StringComparison.Ordinal);
        Assert.Contains("No SPI available in the requested range", Fails($"allocspi {Ends} reqid 4 mode tunnel min 0x1000 max 0x1000"), StringComparison.Ordinal);
        Ip($"update {Ends} spi 0x1000 reqid 3 mode tunnel {Key}"); // the larval SA becomes the SA
        Assert.Contains("rfc4106", Ip($"get {Ends} spi 0x1000"), StringComparison.Ordinal);

        Ip($"delete {Ends} spi 0x1000");
        Assert.Equal("RTNETLINK answers: No such process", Fails($"delete {Ends} spi 0x1000"));
        Ip("deleteall reqid 6");
        Assert.Equal("SAD count 1", Ip("count").Trim());
        Ip("flush proto ah");
        Assert.Equal("SAD count 1", Ip("count").Trim());
        Ip("flush proto esp");
        Assert.Equal("SAD count 0", Ip("count").Trim());
        Ip("flush");
    }

    [Fact]
    public void Policy_EveryCommand_AnswersAsTheKernelDoes()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        string Ip(string words) => daemon.Exec($"ip xfrm policy {words}").Expect().Output;
        string Fails(string words)
        {
            var result = daemon.Exec($"ip xfrm policy {words}");
            Assert.Equal(2, result.ExitCode);
            return result.Error.Trim();
        }

        Ip($"add {Selector} dir out priority 5 index 9 {Template}");
        Ip($"add src 10.2.0.0/16 dst 10.1.0.0/16 proto udp dport 53 dir in priority 6 {Template}");
        Ip("add src fd01::/64 dst fd02::/64 dir fwd action block priority 7");

        Assert.Equal("RTNETLINK answers: File exists", Fails($"add {Selector} dir out priority 5 {Template}"));
        Assert.Equal("SPD IN  1 OUT 1 FWD 1", Ip("count").Trim());
        Assert.Contains("priority 5", Ip($"get {Selector} dir out"), StringComparison.Ordinal);
        Assert.Equal(Ip($"get {Selector} dir out"), Ip("get index 9 dir out"));
        Assert.Contains("proto udp dport 53", Ip("list dir in"), StringComparison.Ordinal);
        Assert.Contains("dir fwd action block priority 7", Ip("list action block"), StringComparison.Ordinal);
        Assert.Equal((3, 1, 1, 2), (Policies(Ip("list")), Policies(Ip("list dir out")), Policies(Ip("list priority 6")), Policies(Ip("list action allow"))));
        Assert.Equal("RTNETLINK answers: No such file or directory", Fails("get src 10.9.0.0/16 dst 10.2.0.0/16 dir out"));
        Ip($"update {Selector} dir out priority 8 {Template}");
        Assert.Contains("priority 8", Ip("get index 9 dir out"), StringComparison.Ordinal);
        Assert.Equal("SPD IN  1 OUT 1 FWD 1", Ip("count").Trim());

        Ip("set hthresh4 24 28");
        Ip("set hthresh6 60 64");
        string information = daemon.Exec("ip -s -s xfrm policy count").Expect().Output;
        Assert.Contains("SPD IPv4 thresholds: local 24 remote 28", information, StringComparison.Ordinal);
        Assert.Contains("SPD IPv6 thresholds: local 60 remote 64", information, StringComparison.Ordinal);
        Ip("setdefault in block fwd block out accept");
        Assert.Equal(["in:  block", "fwd: block", "out: accept"], Ip("getdefault").Split('\n').Skip(1).Select(line => line.Trim()).Where(line => line.Length > 0));
        Ip("setdefault in accept fwd accept");

        Ip("delete index 9 dir out");
        Assert.Equal("RTNETLINK answers: No such file or directory", Fails("delete index 9 dir out"));
        Ip("deleteall dir fwd");
        Assert.Equal("SPD IN  1 OUT 0 FWD 0", Ip("count").Trim());
        Ip("flush");
        Assert.Equal("SPD IN  0 OUT 0 FWD 0", Ip("count").Trim());
    }

    [Fact]
    public void Monitor_EveryGroup_ShowsEachChangeOnce()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        using var monitor = new XfrmMonitor(host, daemon).WaitUntilSubscribed(daemon);
        foreach (string words in new[]
        {
            $"state add {Ends} spi 0x101 mode tunnel reqid 77 {Key}", $"state update {Ends} spi 0x101 mode tunnel reqid 77 {Key}", $"state delete {Ends} spi 0x101",
            $"policy add {Selector} dir out {Template}", $"policy update {Selector} dir out priority 3 {Template}", $"policy delete {Selector} dir out",
            $"state add {Ends} spi 0x102 mode tunnel reqid 78 {Key}", "state flush", $"policy add {Selector} dir out {Template}", "policy flush",
            "policy setdefault out block", "policy setdefault out accept",
        })
        {
            daemon.Exec($"ip xfrm {words}").Expect();
        }

        monitor.Expect("out: accept");
        Assert.Equal(3, monitor.Count("reqid 77"));
        Assert.Equal((1, 1), (monitor.Count("Updated src 192.168.0.1"), monitor.Count("Deleted src 192.168.0.1")));
        Assert.Equal((1, 1), (monitor.Count("Updated src 10.1.0.0/16"), monitor.Count("Deleted src 10.1.0.0/16")));
        Assert.Equal((1, 1), (monitor.Count("Flushed state"), monitor.Count("Flushed policy")));
        Assert.Equal(1, monitor.Count("out: block"));
    }

    [Fact]
    public void Batch_WithAnErrorInside_StopsThere()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, $"xfrm state add {Ends} spi 0x101 mode tunnel {Key}\nxfrm state add {Ends} spi 0x102 mode transport {Key}\nxfrm state add {Ends} spi 0x103 mode tunnel {Key}\n");
            var stopped = daemon.Exec($"ip -batch {file}");
            Assert.NotEqual(0, stopped.ExitCode);
            Assert.Contains("Transport mode is not supported", stopped.Error, StringComparison.Ordinal);
            Assert.Equal("SAD count 1", daemon.Exec("ip xfrm state count").Expect().Output.Trim());
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static int Count(string dump) => dump.Split("proto esp spi").Length - 1;

    private static int Policies(string dump) => dump.Split('\n').Count(line => line.StartsWith("\tdir ", StringComparison.Ordinal));
}
