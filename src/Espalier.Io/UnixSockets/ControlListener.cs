using Espalier.Io.Interop;

namespace Espalier.Io.UnixSockets;

/// <summary>
/// The listening end of the control socket: Unix, SOCK_SEQPACKET, non-blocking. Who may connect is not decided by the file's mode
/// (everybody may, so that a daemon that dropped its rights can come back) but after <see cref="TryAccept"/>, by <see cref="UnixPeer"/>.
/// </summary>
/// <example>
/// <code>
/// using var listener = ControlListener.Bind("/run/espalier.sock");
/// // listener.PollDescriptor is readable:
/// while (listener.TryAccept(out var connection, out int errno)) { … UnixPeer.Credentials(connection) … }
/// </code>
/// </example>
public sealed unsafe class ControlListener : IDisposable
{
    private const int Backlog = 64;
    private readonly SafeDescriptor _descriptor;
    private bool _disposed;

    private ControlListener(SafeDescriptor descriptor, string path)
    {
        _descriptor = descriptor;
        Path = path;
    }

    /// <summary>Where it listens.</summary>
    public string Path { get; }

    /// <summary>Descriptor to poll for reading.</summary>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>
    /// Listens on <paramref name="path"/> (or <c>@name</c>, abstract). A socket file that a dead process left there is replaced; one that somebody
    /// listens on, or a file of another kind, is left alone.
    /// </summary>
    /// <exception cref="DeviceException">The path is taken, cannot be made, or is too long.</exception>
    public static ControlListener Bind(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        sockaddr_un address;
        uint length = UnixSocketAddress.Fill(path, &address);
        if (length == 0)
        {
            throw new DeviceException($"control socket path '{path}' is empty or longer than 107 bytes: name another with --control", Errno.EINVAL);
        }

        var descriptor = new SafeDescriptor(Libc.socket(
            Socket.AF_UNIX, Socket.SOCK_SEQPACKET | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, 0));
        try
        {
            if (descriptor.IsInvalid)
            {
                throw DeviceException.FromLast("cannot make a Unix socket");
            }

            bool isFile = path[0] != '@';
            int errno = Libc.bind(descriptor, &address, length) == 0 ? 0 : Errno.Last;
            if (errno == Errno.EADDRINUSE && isFile && RemoveStale(path, &address, length))
            {
                errno = Libc.bind(descriptor, &address, length) == 0 ? 0 : Errno.Last;
            }

            if (errno != 0)
            {
                throw Refusal(path, errno);
            }

            // Connecting needs write permission; nobody gets in before listen.
            if ((isFile && Libc.chmod(path, 0x1B6) != 0) || Libc.listen(descriptor, Backlog) != 0)
            {
                throw DeviceException.FromLast($"cannot listen on {path}");
            }

            return new ControlListener(descriptor, path);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes one waiting connection. False: none waits (<paramref name="errno"/> is 0), or the kernel refused, e.g. EMFILE, with the connection
    /// still waiting: then poll would say readable at once, so the caller waits before it tries again.
    /// </summary>
    public bool TryAccept([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out UnixConnection? connection, out int errno)
    {
        while (true)
        {
            var accepted = new SafeDescriptor(Libc.accept4(_descriptor, null, null, Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK));
            if (!accepted.IsInvalid)
            {
                connection = new UnixConnection(accepted, isDatagram: false);
                errno = 0;
                return true;
            }

            errno = Errno.Last;
            accepted.Dispose();
            if (errno != Errno.EINTR)
            {
                connection = null;
                errno = errno == Errno.EAGAIN ? 0 : errno;
                return false;
            }
        }
    }

    /// <summary>Stops listening and removes the socket's file.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (Path[0] != '@')
        {
            // Before the close: afterwards another daemon may have put its own there.
            try
            {
                File.Delete(Path);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // Its directory is gone or read-only by now; the next start replaces the file, as it has no listener.
            }
        }

        _descriptor.Dispose();
    }

    private static bool RemoveStale(string path, sockaddr_un* address, uint length)
    {
        // A connect to a file that is no socket is refused as well, so its kind is looked at first.
        statx status;
        if (Libc.statx(Files.AT_FDCWD, path, Files.AT_SYMLINK_NOFOLLOW, Files.STATX_TYPE, &status) != 0
            || (status.stx_mode & Files.S_IFMT) != Files.S_IFSOCK)
        {
            return false;
        }

        using var probe = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_SEQPACKET | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, 0));
        return !probe.IsInvalid && Libc.connect(probe, address, length) != 0 && Errno.Last == Errno.ECONNREFUSED && Libc.unlink(path) == 0;
    }

    private static DeviceException Refusal(string path, int errno) => errno switch
    {
        Errno.EADDRINUSE => new DeviceException(
            $"{path} is in use: stop the other 'espalier run', or choose another path with --control", errno),
        Errno.EACCES or Errno.EPERM => new DeviceException(
            $"no permission to create {path}: run as root, or choose another path with --control", errno),
        Errno.ENOENT => new DeviceException(
            $"the directory of {path} does not exist: create it, or choose another path with --control", errno),
        _ => DeviceException.From($"cannot listen on {path}", errno),
    };
}
