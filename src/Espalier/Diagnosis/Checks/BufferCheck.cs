namespace Espalier.Diagnosis.Checks;

/// <summary>The limit of receive buffers, which counts where SO_RCVBUFFORCE is refused (in a user namespace).</summary>
internal static class BufferCheck
{
    internal static IEnumerable<Finding> Examine(HostView host, int wanted)
    {
        bool inUserNamespace = host.Read("/proc/self/uid_map") is { } map && map.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [.., var count] && count != "4294967295";
        if (host.Number("/proc/sys/net/core/rmem_max") is not { } limit)
        {
            yield return new Finding(Severity.Note, "buffers", "net.core.rmem_max is not shown here (it belongs to the first network namespace)");
            yield break;
        }

        yield return limit >= wanted || (host.User == 0 && !inUserNamespace)
            ? new Finding(Severity.Good, "buffers", $"receive buffers of {wanted} bytes can be had")
            : new Finding(
                Severity.Warning, "buffers", $"receive buffers are limited to {limit} bytes: bursts will be dropped by the kernel sooner",
                $"'sysctl -w net.core.rmem_max={wanted}' on the host, or run as its root");
    }
}
