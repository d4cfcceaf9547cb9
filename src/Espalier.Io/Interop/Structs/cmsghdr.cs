using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct cmsghdr (sys/socket.h): header of one control message; its data follows, aligned to eight bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct cmsghdr
{
    public nuint cmsg_len;
    public int cmsg_level;
    public int cmsg_type;
}
