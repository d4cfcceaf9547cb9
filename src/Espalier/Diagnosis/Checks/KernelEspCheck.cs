namespace Espalier.Diagnosis.Checks;

/// <summary>Whether the kernel could do the job itself.</summary>
internal static class KernelEspCheck
{
    internal static IEnumerable<Finding> Examine(HostView host)
    {
        string release = host.Read("/proc/sys/kernel/osrelease")?.Trim() ?? "";
        bool loaded = host.Exists("/sys/module/esp4") || host.Lines("/proc/modules").Any(l => l.StartsWith("esp4 ", StringComparison.Ordinal));
        bool builtIn = host.Lines($"/lib/modules/{release}/modules.builtin").Any(l => l.EndsWith("/esp4.ko", StringComparison.Ordinal));
        bool loadable = host.Lines($"/lib/modules/{release}/modules.dep").Any(l => l.Split(':')[0].Contains("/esp4.ko", StringComparison.Ordinal));
        yield return loaded || builtIn
            ? new Finding(Severity.Note, "kernel ESP", $"kernel {release} has ESP: IPsec works without Espalier, and faster", "programs started with 'espalier exec' use Espalier, all others the kernel")
            : loadable
                ? new Finding(Severity.Note, "kernel ESP", $"kernel {release} has ESP as a module that is not loaded", "'modprobe esp4 esp6' if the kernel's IPsec is what you want")
                : new Finding(Severity.Good, "kernel ESP", $"kernel {release} has none that can be seen: Espalier takes its place");
    }
}
