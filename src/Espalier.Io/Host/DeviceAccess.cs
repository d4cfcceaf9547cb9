using Espalier.Io.Interop;

namespace Espalier.Io.Host;

/// <summary>Whether this process may use a device or a file.</summary>
public static class DeviceAccess
{
    /// <summary>Opens it for reading and writing, and closes it. Returns 0 or the errno.</summary>
    public static int TryOpen(string path)
    {
        using var descriptor = new SafeDescriptor(Libc.open(path, Files.O_RDWR | Files.O_CLOEXEC | Files.O_NONBLOCK));
        return descriptor.IsInvalid ? Errno.Last : 0;
    }
}
