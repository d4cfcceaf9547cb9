namespace Espalier.Running.Composition;

/// <summary>What the kernel was built or started with.</summary>
internal static class KernelFeatures
{
    /// <summary>False on a kernel without IPv6 (or with ipv6.disable=1), where no IPv6 socket can be opened.</summary>
    internal static bool HasIPv6 => Directory.Exists("/proc/sys/net/ipv6");
}
