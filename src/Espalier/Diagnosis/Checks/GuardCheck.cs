namespace Espalier.Diagnosis.Checks;

/// <summary>nftables, which drops what arrives in clear although a policy protects it.</summary>
internal static class GuardCheck
{
    internal static IEnumerable<Finding> Examine(HostView host)
    {
        string release = host.Read("/proc/sys/kernel/osrelease")?.Trim() ?? "";
        bool present = host.Exists("/sys/module/nf_tables")
            || host.Lines("/proc/modules").Any(l => l.StartsWith("nf_tables ", StringComparison.Ordinal))
            || host.Lines($"/lib/modules/{release}/modules.builtin").Any(l => l.EndsWith("/nf_tables.ko", StringComparison.Ordinal))
            || host.Lines($"/lib/modules/{release}/modules.dep").Any(l => l.Split(':')[0].Contains("/nf_tables.ko", StringComparison.Ordinal));
        yield return present
            ? new Finding(Severity.Good, "nftables", "the kernel has it: packets that arrive in clear for a protected selector are dropped")
            : new Finding(
                Severity.Warning, "nftables", "not seen in this kernel: packets that arrive in clear for a protected selector may not be dropped",
                "'modprobe nf_tables', or filter by hand; the start of 'espalier run' says whether the protection is on");
    }
}
