using System.Text;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;

namespace Espalier.Io.Host;

/// <summary>
/// Tells the service manager how we are (sd_notify(3)): a datagram of lines such as <c>READY=1</c> to the Unix socket in NOTIFY_SOCKET, whose
/// name starts with '/' or, in the abstract namespace, with '@'.
/// </summary>
public static unsafe class ServiceNotifier
{
    /// <summary>We serve.</summary>
    public const string Ready = "READY=1";

    /// <summary>We are about to end.</summary>
    public const string Stopping = "STOPPING=1";

    /// <summary>Sends <paramref name="state"/>, lines separated by '\n'. Returns 0 (also where no manager asked to be told), or an errno.</summary>
    public static int Notify(string state) => Notify(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), state);

    internal static int Notify(string? socketName, string state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (string.IsNullOrEmpty(socketName))
        {
            return 0;
        }

        sockaddr_un address;
        uint length = socketName[0] is '/' or '@' ? UnixSocketAddress.Fill(socketName, &address) : 0;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        using var descriptor = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_CLOEXEC, 0));
        if (descriptor.IsInvalid)
        {
            return Errno.Last;
        }

        byte[] message = Encoding.UTF8.GetBytes(state);
        fixed (byte* data = message)
        {
            return Libc.sendto(descriptor, data, (nuint)message.Length, Socket.MSG_NOSIGNAL, &address, length) < 0 ? Errno.Last : 0;
        }
    }
}
