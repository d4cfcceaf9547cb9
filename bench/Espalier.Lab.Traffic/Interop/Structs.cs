using System.Runtime.InteropServices;

namespace Espalier.Lab.Traffic.Interop;

/// <summary>struct iovec, sys/uio.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct iovec
{
    internal byte* iov_base;
    internal nuint iov_len;
}

/// <summary>struct msghdr, sys/socket.h, of 64-bit Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct msghdr
{
    internal void* msg_name;
    internal uint msg_namelen;
    internal iovec* msg_iov;
    internal nuint msg_iovlen;
    internal void* msg_control;
    internal nuint msg_controllen;
    internal int msg_flags;
}

/// <summary>struct mmsghdr, sys/socket.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct mmsghdr
{
    internal msghdr msg_hdr;
    internal uint msg_len;
}

/// <summary>struct timespec of 64-bit Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct timespec
{
    internal long tv_sec;
    internal long tv_nsec;
}
