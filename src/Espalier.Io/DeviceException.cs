using Espalier.Io.Interop;

namespace Espalier.Io;

/// <summary>
/// A device or socket could not be opened, or was lost. The message is one line that says what to do; it is for the user as it stands.
/// Never thrown for a packet.
/// </summary>
public sealed class DeviceException : Exception
{
    /// <summary>With a message for the user and the errno behind it (0 = none).</summary>
    public DeviceException(string message, int errno)
        : base(message) => Error = errno;

    /// <summary>With a message for the user.</summary>
    public DeviceException(string message)
        : base(message)
    {
    }

    /// <summary>With a message for the user and its cause.</summary>
    public DeviceException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Without a message of its own.</summary>
    public DeviceException()
    {
    }

    /// <summary>The errno behind it, 0 = none.</summary>
    public int Error { get; }

    /// <summary><paramref name="what"/> and the C library's text for the calling thread's last errno.</summary>
    internal static DeviceException FromLast(string what) => From(what, Errno.Last);

    /// <summary><paramref name="what"/> and the C library's text for <paramref name="errno"/>.</summary>
    internal static DeviceException From(string what, int errno) => new($"{what}: {Errno.Text(errno)}", errno);
}
