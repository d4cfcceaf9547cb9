using Espalier.Io.Interop;

namespace Espalier.Diagnosis.Checks;

/// <summary>/dev/net/tun, without which there is no inner side.</summary>
internal static class TunCheck
{
    private const string Device = "/dev/net/tun";

    internal static IEnumerable<Finding> Examine(HostView host)
    {
        int errno = host.TryOpen(Device);
        yield return errno switch
        {
            0 => new Finding(Severity.Good, "TUN", $"{Device} can be opened"),
            Errno.ENOENT => new Finding(
                Severity.Problem, "TUN", $"{Device} does not exist",
                "on a virtual server enable TUN/TAP in the provider's panel; in a container add --device /dev/net/tun; else 'modprobe tun', or 'mknod /dev/net/tun c 10 200'"),
            Errno.EACCES or Errno.EPERM => new Finding(
                Severity.Problem, "TUN", $"{Device} is not open to this user", "run as root, or allow the device (container: --device /dev/net/tun)"),
            Errno.ENODEV or Errno.ENXIO => new Finding(
                Severity.Problem, "TUN", $"{Device} exists, but the kernel has no TUN behind it", "'modprobe tun', or a kernel with CONFIG_TUN"),
            _ => new Finding(Severity.Problem, "TUN", $"{Device}: {Errno.Text(errno)}", "see the kernel's log"),
        };
    }
}
