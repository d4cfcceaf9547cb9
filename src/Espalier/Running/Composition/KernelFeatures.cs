using System.Globalization;

namespace Espalier.Running.Composition;

/// <summary>What the kernel was built or started with.</summary>
internal static class KernelFeatures
{
    /// <summary>False on a kernel without IPv6 (or with ipv6.disable=1), where no IPv6 socket can be opened.</summary>
    internal static bool HasIPv6 => Directory.Exists("/proc/sys/net/ipv6");

    /// <summary>True since Linux 6.10, by what uname says of it, as IKE daemons decide.</summary>
    internal static bool KnowsSaDirections => Environment.OSVersion.Version >= new Version(6, 10);

    /// <summary>net.core.xfrm_acq_expires of the calling thread's network namespace, in seconds; null on a kernel without XFRM.</summary>
    internal static uint? AcquireExpires()
    {
        try
        {
            return uint.TryParse(File.ReadAllText("/proc/sys/net/core/xfrm_acq_expires").AsSpan().TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds)
                ? seconds : null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
