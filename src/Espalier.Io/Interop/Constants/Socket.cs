namespace Espalier.Io.Interop;

/// <summary>Constants of sys/socket.h and its relatives (values of x86-64 and arm64).</summary>
internal static class Socket
{
    // Families and types
    internal const int AF_UNIX = 1;
    internal const int AF_INET = 2;
    internal const int AF_INET6 = 10;
    internal const int AF_NETLINK = 16;
    internal const int AF_PACKET = 17;
    internal const int SOCK_DGRAM = 2;
    internal const int SOCK_RAW = 3;
    internal const int SOCK_SEQPACKET = 5;
    internal const int SOCK_NONBLOCK = 0x800;
    internal const int SOCK_CLOEXEC = 0x80000;

    // Flags of messages
    internal const int MSG_CTRUNC = 0x08;
    internal const int MSG_TRUNC = 0x20;
    internal const int MSG_DONTWAIT = 0x40;
    internal const int MSG_ERRQUEUE = 0x2000;
    internal const int MSG_NOSIGNAL = 0x4000;
    internal const int MSG_CMSG_CLOEXEC = 0x40000000;

    internal const int SHUT_RD = 0;

    // Options of SOL_SOCKET
    internal const int SOL_SOCKET = 1;
    internal const int SO_REUSEADDR = 2;
    internal const int SO_TYPE = 3;
    internal const int SO_BROADCAST = 6;
    internal const int SO_SNDBUF = 7;
    internal const int SO_RCVBUF = 8;
    internal const int SO_NO_CHECK = 11;
    internal const int SO_REUSEPORT = 15;
    internal const int SO_PEERCRED = 17;
    internal const int SO_BINDTODEVICE = 25;
    internal const int SO_SNDBUFFORCE = 32;
    internal const int SO_RCVBUFFORCE = 33;
    internal const int SO_MARK = 36;
    internal const int SO_RXQ_OVFL = 40;
    internal const int SO_MEMINFO = 55;
    internal const int SO_PEERGROUPS = 59;
    internal const int SO_NETNS_COOKIE = 71;

    // Control messages of SOL_SOCKET
    internal const int SCM_RIGHTS = 1;

    // SO_MEMINFO: index of the drop counter, number of its words (linux/sock_diag.h)
    internal const int SK_MEMINFO_DROPS = 8;
    internal const int SK_MEMINFO_VARS = 9;
}
