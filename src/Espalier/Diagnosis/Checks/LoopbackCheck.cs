namespace Espalier.Diagnosis.Checks;

/// <summary>The loopback device, over which IKE messages come to their daemon; a new network namespace has it down.</summary>
internal static class LoopbackCheck
{
    internal static IEnumerable<Finding> Examine(HostView host, ushort port)
    {
        // fib_trie has a host entry for each address of a device that is up.
        if (port != 0 && host.Read("/proc/net/fib_trie") is { } routes && !routes.Contains("127.0.0.1\n", StringComparison.Ordinal))
        {
            yield return new Finding(Severity.Problem, "loopback", "the device lo is down: IKE messages come to their daemon over it", "'ip link set lo up'");
        }
    }
}
