using Espalier.Io.Interop;
using Espalier.Io.Sockets;

namespace Espalier.Io.UnixSockets;

/// <summary>
/// One end of a Unix SOCK_SEQPACKET connection, or of a socket pair. Each <see cref="Send"/> is one message and arrives as one message.
/// Descriptors are passed with SCM_RIGHTS. Used by one thread at a time.
/// </summary>
/// <remarks>
/// Server: <see cref="ControlListener.TryAccept"/> gives non-blocking connections; put <see cref="PollDescriptor"/> into a poll set, and call
/// <see cref="Receive"/> until it says <see cref="UnixReceiveOutcome.Nothing"/>. Client: <see cref="Connect"/>; use
/// <see cref="WaitReadable"/> to wait with a limit of time.
/// </remarks>
public sealed unsafe class UnixConnection : IDisposable
{
    private readonly bool _keepsBoundaries;

    internal UnixConnection(SafeDescriptor descriptor, bool isDatagram)
    {
        Descriptor = descriptor;
        _keepsBoundaries = isDatagram;
    }

    /// <summary>The descriptor; it belongs to this object.</summary>
    public SafeDescriptor Descriptor { get; }

    /// <summary>Descriptor to poll.</summary>
    public int PollDescriptor => Descriptor.Number;

    /// <summary>Takes over a received descriptor, e.g. the end B of an ATTACH.</summary>
    /// <exception cref="DeviceException">It is no Unix SOCK_DGRAM or SOCK_SEQPACKET socket; it is closed then.</exception>
    public static UnixConnection Adopt(SafeDescriptor descriptor)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        sockaddr_un address = default;
        uint length = (uint)sizeof(sockaddr_un);
        int type = 0;
        uint typeLength = sizeof(int);
        bool known = Libc.getsockname(descriptor, &address, &length) == 0 && address.sun_family == Socket.AF_UNIX
            && Libc.getsockopt(descriptor, Socket.SOL_SOCKET, Socket.SO_TYPE, &type, &typeLength) == 0
            && type is Socket.SOCK_DGRAM or Socket.SOCK_SEQPACKET;
        int flags = known ? Libc.fcntl(descriptor, Files.F_GETFL, 0) : -1;
        if (flags < 0 || Libc.fcntl(descriptor, Files.F_SETFL, flags | Files.O_NONBLOCK) != 0)
        {
            descriptor.Dispose();
            throw new DeviceException("the descriptor is no Unix datagram or sequenced-packet socket", Errno.EINVAL);
        }

        return new UnixConnection(descriptor, type == Socket.SOCK_DGRAM);
    }

    /// <summary>Connects to a <see cref="ControlListener"/>. <paramref name="path"/> may be <c>@name</c> (abstract).</summary>
    /// <exception cref="DeviceException">Nobody listens there, or access is denied.</exception>
    public static UnixConnection Connect(string path, bool nonBlocking = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        sockaddr_un address;
        uint length = UnixSocketAddress.Fill(path, &address);
        if (length == 0)
        {
            throw new DeviceException($"control socket path '{path}' is empty or longer than 107 bytes", Errno.EINVAL);
        }

        var descriptor = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_SEQPACKET | Socket.SOCK_CLOEXEC, 0));
        if (descriptor.IsInvalid || Libc.connect(descriptor, &address, length) != 0)
        {
            int errno = Errno.Last;
            descriptor.Dispose();
            throw errno is Errno.ENOENT or Errno.ECONNREFUSED
                ? new DeviceException($"nobody listens on {path}: start 'espalier run' first, or name its socket with --control", errno)
                : DeviceException.From($"cannot connect to {path}", errno);
        }

        if (nonBlocking)
        {
            _ = Libc.fcntl(descriptor, Files.F_SETFL, Files.O_RDWR | Files.O_NONBLOCK);
        }

        return new UnixConnection(descriptor, isDatagram: false);
    }

    /// <summary>
    /// Two connected ends, non-blocking and closed on exec. SOCK_DGRAM (<paramref name="datagram"/>) never reports an end of file;
    /// SOCK_SEQPACKET does.
    /// </summary>
    public static (UnixConnection First, UnixConnection Second) Pair(bool datagram)
    {
        int* ends = stackalloc int[2];
        int type = datagram ? Socket.SOCK_DGRAM : Socket.SOCK_SEQPACKET;
        return Libc.socketpair(Socket.AF_UNIX, type | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, 0, ends) != 0
            ? throw DeviceException.FromLast("cannot make a Unix socket pair")
            : (new UnixConnection(new SafeDescriptor(ends[0]), datagram), new UnixConnection(new SafeDescriptor(ends[1]), datagram));
    }

    /// <summary>Sends one message, with a descriptor if one is given (which stays the caller's). Returns 0 or an errno: EAGAIN = the other end's queue is full.</summary>
    public int Send(ReadOnlySpan<byte> message, SafeDescriptor? descriptor = null)
    {
        byte* control = stackalloc byte[ControlMessages.Space(sizeof(int))];
        fixed (byte* data = message)
        {
            iovec vector = new() { iov_base = data, iov_len = (nuint)message.Length };
            msghdr header = new() { msg_iov = &vector, msg_iovlen = 1 };
            if (descriptor is not null)
            {
                byte* at = control;
                *(int*)ControlMessages.Write(ref at, Socket.SOL_SOCKET, Socket.SCM_RIGHTS, sizeof(int)) = descriptor.Number;
                header.msg_control = control;
                header.msg_controllen = (nuint)ControlMessages.Length(sizeof(int));
            }

            while (true)
            {
                if (Libc.sendmsg(Descriptor, &header, Socket.MSG_NOSIGNAL) >= 0)
                {
                    return 0;
                }

                int errno = Errno.Last;
                if (errno != Errno.EINTR)
                {
                    return errno;
                }
            }
        }
    }

    /// <summary>Takes one message into <paramref name="buffer"/>. What does not fit is lost, and the message says so.</summary>
    public UnixMessage Receive(Span<byte> buffer)
    {
        // Exactly one descriptor fits (CMSG_LEN, not CMSG_SPACE, which has room for two); the kernel closes what does not fit.
        int controlLength = ControlMessages.Length(sizeof(int));
        byte* control = stackalloc byte[ControlMessages.Space(sizeof(int))];
        fixed (byte* data = buffer)
        {
            iovec vector = new() { iov_base = data, iov_len = (nuint)buffer.Length };
            msghdr header;
            nint length;
            do
            {
                header = new() { msg_iov = &vector, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)controlLength };
                length = Libc.recvmsg(Descriptor, &header, Socket.MSG_CMSG_CLOEXEC | Socket.MSG_TRUNC);
            }
            while (length < 0 && Errno.Last == Errno.EINTR);

            return length < 0 ? Failure(Errno.Last)
                : length == 0 && !_keepsBoundaries ? new UnixMessage(UnixReceiveOutcome.Closed, 0, false, null, false, 0)
                : new UnixMessage(
                    UnixReceiveOutcome.Message,
                    (int)length,
                    (header.msg_flags & Socket.MSG_TRUNC) != 0,
                    PassedDescriptor(&header),
                    (header.msg_flags & Socket.MSG_CTRUNC) != 0,
                    0);
        }
    }

    /// <summary>
    /// Ends what the other end can send: its sends fail with EPIPE from here on. What it sent before can still be received; then
    /// <see cref="Receive"/> says <see cref="UnixReceiveOutcome.Closed"/>. This end can send on.
    /// </summary>
    public void StopReceiving() => _ = Libc.shutdown(Descriptor, Socket.SHUT_RD); // Fails only where the other end is gone.

    /// <summary>
    /// Bounds what the kernel holds of messages that the other end has not taken yet, whatever net.core.wmem_default says. Beyond it
    /// <see cref="Send"/> says EAGAIN.
    /// </summary>
    public void BoundSendQueue(int bytes) => SocketOptions.Set(Descriptor, Socket.SOL_SOCKET, Socket.SO_SNDBUF, bytes, "SO_SNDBUF");

    /// <summary>Waits until something can be received. False = not within <paramref name="timeoutMilliseconds"/> (-1 = without limit).</summary>
    public bool WaitReadable(int timeoutMilliseconds)
    {
        long end = Environment.TickCount64 + timeoutMilliseconds;
        while (true)
        {
            pollfd entry = new() { fd = PollDescriptor, events = Files.POLLIN };
            int left = timeoutMilliseconds < 0 ? -1 : (int)Math.Max(0, end - Environment.TickCount64);
            int ready = Libc.poll(&entry, 1, left);
            if (ready > 0)
            {
                return true;
            }

            if (ready == 0 || Errno.Last != Errno.EINTR)
            {
                return false;
            }
        }
    }

    /// <summary>Closes this end.</summary>
    public void Dispose() => Descriptor.Dispose();

    private static UnixMessage Failure(int errno) => errno == Errno.EAGAIN
        ? new UnixMessage(UnixReceiveOutcome.Nothing, 0, false, null, false, 0)
        : new UnixMessage(errno is Errno.ECONNRESET or Errno.EPIPE ? UnixReceiveOutcome.Closed : UnixReceiveOutcome.Failed, 0, false, null, false, errno);

    private static SafeDescriptor? PassedDescriptor(msghdr* header)
    {
        for (var message = ControlMessages.First(header); message != null; message = ControlMessages.Next(header, message))
        {
            if (message->cmsg_level == Socket.SOL_SOCKET && message->cmsg_type == Socket.SCM_RIGHTS
                && ControlMessages.DataLength(message) >= sizeof(int))
            {
                return new SafeDescriptor(*(int*)ControlMessages.Data(message));
            }
        }

        return null;
    }
}
