using System.Diagnostics.CodeAnalysis;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;

namespace Espalier.Io.Host;

/// <summary>
/// A name that one process of a network namespace holds at a time: an abstract Unix socket, which belongs to the namespace, as routing tables and
/// rules do, and goes with its process however that ends.
/// </summary>
public sealed unsafe class InstanceLock : IDisposable
{
    private readonly SafeDescriptor _descriptor;

    private InstanceLock(SafeDescriptor descriptor) => _descriptor = descriptor;

    /// <summary>Takes the name; false where another process holds it (EADDRINUSE) or the kernel refuses.</summary>
    public static bool TryTake(string name, [NotNullWhen(true)] out InstanceLock? held, out int errno)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        held = null;
        sockaddr_un address;
        uint length = UnixSocketAddress.Fill($"@{name}", &address);
        var descriptor = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_CLOEXEC, 0));
        errno = length == 0 ? Errno.EINVAL : !descriptor.IsInvalid && Libc.bind(descriptor, &address, length) == 0 ? 0 : Errno.Last;
        if (errno != 0)
        {
            descriptor.Dispose();
            return false;
        }

        held = new InstanceLock(descriptor);
        return true;
    }

    /// <summary>Gives the name up.</summary>
    public void Dispose() => _descriptor.Dispose();
}
