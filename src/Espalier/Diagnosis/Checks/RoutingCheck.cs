namespace Espalier.Diagnosis.Checks;

/// <summary>Reverse path filtering, source validation by mark, forwarding.</summary>
internal static class RoutingCheck
{
    private const string SourceValidMark = "/proc/sys/net/ipv4/conf/all/src_valid_mark";
    private const int Strict = 1;

    internal static IEnumerable<Finding> Examine(HostView host)
    {
        string[] strict =
        [
            .. host.Names("/proc/sys/net/ipv4/conf").Where(name => name != "default" && host.Number($"/proc/sys/net/ipv4/conf/{name}/rp_filter") == Strict),
        ];
        if (strict.Length == 0)
        {
            yield return new Finding(Severity.Good, "rp_filter", "no strict reverse path filtering");
        }
        else if (host.Number(SourceValidMark) == 1 || host.TryOpen(SourceValidMark) == 0)
        {
            yield return new Finding(
                Severity.Note, "rp_filter", $"strict for {string.Join(", ", strict)}: 'espalier run' marks what arrives and sets src_valid_mark (needs nftables)",
                "without nftables set it to 2 (loose) where a selector covers the peer's own address");
        }
        else
        {
            yield return new Finding(
                Severity.Warning, "rp_filter",
                $"strict for {string.Join(", ", strict)}, and src_valid_mark cannot be set from here: the kernel drops IKE on port 4500 on its way to the daemon, and what arrives from addresses inside a selector",
                "container: --sysctl net.ipv4.conf.all.src_valid_mark=1, or rp_filter 2 (loose)");
        }

        long v4 = host.Number("/proc/sys/net/ipv4/ip_forward") ?? 0, v6 = host.Number("/proc/sys/net/ipv6/conf/all/forwarding") ?? 0;
        if (v4 == 0 || v6 == 0)
        {
            yield return new Finding(
                Severity.Note, "forwarding", v4 == 0 && v6 == 0 ? "off: only this host's own traffic is protected" : $"off for {(v4 == 0 ? "IPv4" : "IPv6")}",
                "for a gateway: 'sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1'");
        }
    }
}
