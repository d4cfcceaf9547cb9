using System.Text;
using Espalier.Io.Interop;

namespace Espalier.Io.Sockets;

/// <summary>Sets and reads the options of sockets, with a reason for the user where the kernel refuses.</summary>
internal static unsafe class SocketOptions
{
    /// <summary>Opens a non-blocking socket that is closed on exec.</summary>
    internal static SafeDescriptor Open(int family, int type, int protocol, string what)
    {
        var descriptor = new SafeDescriptor(Libc.socket(family, type | Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC, protocol));
        if (!descriptor.IsInvalid)
        {
            return descriptor;
        }

        int errno = Errno.Last;
        throw errno switch
        {
            Errno.EPERM or Errno.EACCES => new DeviceException($"no permission to open {what}: run as root or give CAP_NET_RAW", errno),
            Errno.EAFNOSUPPORT => new DeviceException($"the kernel has no {(family == Socket.AF_INET6 ? "IPv6" : "IPv4")}, so {what} cannot be opened", errno),
            Errno.EMFILE => new DeviceException($"too many open files to open {what}: raise the limit (ulimit -n, LimitNOFILE=)", errno),
            _ => DeviceException.From($"cannot open {what}", errno),
        };
    }

    /// <summary>Sets an option to an integer; returns 0 or an errno.</summary>
    internal static int TrySet(SafeDescriptor descriptor, int level, int option, int value) =>
        Libc.setsockopt(descriptor, level, option, &value, sizeof(int)) == 0 ? 0 : Errno.Last;

    /// <summary>Sets an option to an integer.</summary>
    /// <exception cref="DeviceException">The kernel refused; <paramref name="name"/> is in the message.</exception>
    internal static void Set(SafeDescriptor descriptor, int level, int option, int value, string name)
    {
        int errno = TrySet(descriptor, level, option, value);
        if (errno != 0)
        {
            throw DeviceException.From($"the kernel refuses the socket option {name}", errno);
        }
    }

    /// <summary>Reads an integer option; -1 where there is none.</summary>
    internal static int Get(SafeDescriptor descriptor, int level, int option)
    {
        int value = 0;
        uint length = sizeof(int);
        return Libc.getsockopt(descriptor, level, option, &value, &length) == 0 ? value : -1;
    }

    /// <summary>Binds to an interface by name; returns 0 or an errno (ENODEV: there is none).</summary>
    internal static int BindToInterface(SafeDescriptor descriptor, string name)
    {
        byte* text = stackalloc byte[ifreq.IFNAMSIZ];
        int length = Encoding.UTF8.GetBytes(name, new Span<byte>(text, ifreq.IFNAMSIZ));
        return Libc.setsockopt(descriptor, Socket.SOL_SOCKET, Socket.SO_BINDTODEVICE, text, (uint)length) == 0 ? 0 : Errno.Last;
    }

    /// <summary>Refuses by a filter whatever the kernel would deliver, so that nothing piles up in the queue. Errors still come.</summary>
    internal static void ReceiveNothing(SafeDescriptor descriptor)
    {
        sock_filter nothing = new(Nl.BPF_RET_K, 0, 0, 0);
        sock_fprog program = new() { len = 1, filter = &nothing };
        if (Libc.setsockopt(descriptor, Socket.SOL_SOCKET, Nl.SO_ATTACH_FILTER, &program, (uint)sizeof(sock_fprog)) != 0)
        {
            throw DeviceException.FromLast("the kernel refuses the socket option SO_ATTACH_FILTER");
        }
    }

    /// <summary>Sets the firewall mark; 0 leaves it.</summary>
    internal static void SetMark(SafeDescriptor descriptor, uint mark)
    {
        int errno = mark == 0 ? 0 : TrySet(descriptor, Socket.SOL_SOCKET, Socket.SO_MARK, (int)mark);
        if (errno != 0)
        {
            throw errno == Errno.EPERM
                ? new DeviceException("no permission to mark packets (SO_MARK): run as root or give CAP_NET_ADMIN", errno)
                : DeviceException.From("the kernel refuses to mark packets (SO_MARK)", errno);
        }
    }

    /// <summary>
    /// Asks for a queue of <paramref name="bytes"/>, past the host's limit where we may (CAP_NET_ADMIN), else up to it.
    /// Returns the bytes granted, without the kernel's doubling for its overhead.
    /// </summary>
    internal static int SetBuffer(SafeDescriptor descriptor, int forceOption, int option, int bytes, out bool forced)
    {
        forced = TrySet(descriptor, Socket.SOL_SOCKET, forceOption, bytes) == 0;
        if (!forced)
        {
            _ = TrySet(descriptor, Socket.SOL_SOCKET, option, bytes);
        }

        return Get(descriptor, Socket.SOL_SOCKET, option) / 2;
    }
}
