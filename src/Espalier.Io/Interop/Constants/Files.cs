namespace Espalier.Io.Interop;

/// <summary>Constants of fcntl.h, poll.h, sys/eventfd.h, sched.h, sys/prctl.h and sys/resource.h.</summary>
internal static class Files
{
    // open and fcntl
    internal const int O_RDONLY = 0;
    internal const int O_RDWR = 2;
    internal const int O_NONBLOCK = 0x800;
    internal const int O_CLOEXEC = 0x80000;
    internal const int F_GETFL = 3;
    internal const int F_SETFL = 4;

    // poll
    internal const short POLLIN = 0x01;
    internal const short POLLOUT = 0x04;
    internal const short POLLERR = 0x08;
    internal const short POLLHUP = 0x10;
    internal const short POLLNVAL = 0x20;

    // eventfd
    internal const int EFD_CLOEXEC = 0x80000;
    internal const int EFD_NONBLOCK = 0x800;

    // setns and unshare
    internal const int CLONE_NEWNET = 0x40000000;

    // prctl and resource limits
    internal const int PR_SET_DUMPABLE = 4;
    internal const int PR_GET_DUMPABLE = 3;
    internal const int RLIMIT_CORE = 4;
    internal const int RLIMIT_NOFILE = 7;

    // statx
    internal const int AT_FDCWD = -100;
    internal const int AT_SYMLINK_NOFOLLOW = 0x100;
    internal const uint STATX_TYPE = 1;
    internal const int S_IFMT = 0xF000;
    internal const int S_IFSOCK = 0xC000;
}
