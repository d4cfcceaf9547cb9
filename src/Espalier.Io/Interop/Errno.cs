using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>Error numbers of Linux that Espalier tells apart (asm-generic/errno.h; the same on x86-64 and arm64).</summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file or directory.</summary>
    public const int ENOENT = 2;

    /// <summary>No such process; for XFRM, no such state.</summary>
    public const int ESRCH = 3;

    /// <summary>Interrupted by a signal.</summary>
    public const int EINTR = 4;

    /// <summary>Input/output error; a TUN that is down gives it on write.</summary>
    public const int EIO = 5;

    /// <summary>No such device or address.</summary>
    public const int ENXIO = 6;

    /// <summary>Bad descriptor.</summary>
    public const int EBADF = 9;

    /// <summary>Try again: nothing there, or no room.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory.</summary>
    public const int ENOMEM = 12;

    /// <summary>Permission denied.</summary>
    public const int EACCES = 13;

    /// <summary>Busy: a TUN of this name belongs to another process.</summary>
    public const int EBUSY = 16;

    /// <summary>Exists already.</summary>
    public const int EEXIST = 17;


    /// <summary>No such device.</summary>
    public const int ENODEV = 19;

    /// <summary>Invalid argument.</summary>
    public const int EINVAL = 22;

    /// <summary>Too many open files in this process.</summary>
    public const int EMFILE = 24;

    /// <summary>Broken pipe: the other end is gone.</summary>
    public const int EPIPE = 32;

    /// <summary>Result out of range.</summary>
    public const int ERANGE = 34;



    /// <summary>Bad message: its contents make no sense.</summary>
    public const int EBADMSG = 74;

    /// <summary>Descriptor in a bad state: the TUN behind it was deleted.</summary>
    public const int EBADFD = 77;

    /// <summary>Message too long for the path's or the interface's MTU.</summary>
    public const int EMSGSIZE = 90;

    /// <summary>Protocol option not available.</summary>
    public const int ENOPROTOOPT = 92;


    /// <summary>Operation not supported.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>Address family not supported.</summary>
    public const int EAFNOSUPPORT = 97;

    /// <summary>Address in use.</summary>
    public const int EADDRINUSE = 98;

    /// <summary>Address not available on this host.</summary>
    public const int EADDRNOTAVAIL = 99;

    /// <summary>Network is down.</summary>
    public const int ENETDOWN = 100;

    /// <summary>Network unreachable.</summary>
    public const int ENETUNREACH = 101;

    /// <summary>Connection reset.</summary>
    public const int ECONNRESET = 104;

    /// <summary>No buffer space: a queue of the kernel is full.</summary>
    public const int ENOBUFS = 105;


    /// <summary>Connection refused; ICMP port unreachable.</summary>
    public const int ECONNREFUSED = 111;

    /// <summary>Host unreachable.</summary>
    public const int EHOSTUNREACH = 113;

    /// <summary>The errno of the last native call of this thread.</summary>
    public static int Last => Marshal.GetLastPInvokeError();

    /// <summary>The C library's text for <paramref name="errno"/>, e.g. "Permission denied".</summary>
    public static string Text(int errno) => Marshal.GetPInvokeErrorMessage(errno);
}
