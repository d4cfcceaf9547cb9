using System.Globalization;
using Espalier.Io.Interop;

namespace Espalier.Io.UnixSockets;

/// <summary>
/// Who is at the other end of an accepted <see cref="UnixConnection"/>: user, groups, network namespace. All of it was recorded by the kernel
/// when the client called connect, and stays so whatever the client does afterwards, or to whom it passes the descriptor.
/// </summary>
public static unsafe class UnixPeer
{
    /// <summary>The peer's process, user and group (SO_PEERCRED); null where the kernel has none.</summary>
    public static PeerCredentials? Credentials(UnixConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ucred credentials;
        uint length = (uint)sizeof(ucred);
        return Libc.getsockopt(connection.Descriptor, Socket.SOL_SOCKET, Socket.SO_PEERCRED, &credentials, &length) == 0
            ? new PeerCredentials(credentials.pid, credentials.uid, credentials.gid)
            : null;
    }

    /// <summary>The peer's supplementary groups (SO_PEERGROUPS, Linux 4.13); empty where they cannot be had.</summary>
    public static uint[] Groups(UnixConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        uint length = 0;
        if (Libc.getsockopt(connection.Descriptor, Socket.SOL_SOCKET, Socket.SO_PEERGROUPS, null, &length) == 0 || Errno.Last != Errno.ERANGE)
        {
            return [];
        }

        uint[] groups = new uint[length / sizeof(uint)];
        fixed (uint* first = groups)
        {
            return Libc.getsockopt(connection.Descriptor, Socket.SOL_SOCKET, Socket.SO_PEERGROUPS, first, &length) == 0 ? groups : [];
        }
    }

    /// <summary>
    /// True or false: the peer connected from the calling thread's network namespace, or from another one. Null: it cannot be found out.
    /// The accepted end of a Unix connection is made in the client's namespace, so its cookie (SO_NETNS_COOKIE, Linux 5.14) is the client's;
    /// where the kernel has no cookies, /proc/PID/ns/net is compared.
    /// </summary>
    public static bool? SharesNetworkNamespace(UnixConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        if (TryCookie(connection.Descriptor, out ulong theirs) && TryOwnCookie(out ulong ours))
        {
            return theirs == ours;
        }

        try
        {
            var process = Credentials(connection) is { ProcessId: > 0 } peer ? peer.ProcessId.ToString(CultureInfo.InvariantCulture) : null;
            string? link = process is null ? null : new FileInfo($"/proc/{process}/ns/net").LinkTarget;
            return link is null ? null : link == new FileInfo("/proc/thread-self/ns/net").LinkTarget;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The network namespace's cookie of a socket; false before Linux 5.14.</summary>
    public static bool TryCookie(SafeDescriptor descriptor, out ulong cookie)
    {
        ulong value = 0;
        uint length = sizeof(ulong);
        bool known = Libc.getsockopt(descriptor, Socket.SOL_SOCKET, Socket.SO_NETNS_COOKIE, &value, &length) == 0;
        cookie = value;
        return known;
    }

    /// <summary>The cookie of the calling thread's network namespace; false before Linux 5.14.</summary>
    public static bool TryOwnCookie(out ulong cookie)
    {
        using var probe = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_CLOEXEC, 0));
        cookie = 0;
        return !probe.IsInvalid && TryCookie(probe, out cookie);
    }
}
