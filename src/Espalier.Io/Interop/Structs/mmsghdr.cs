using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct mmsghdr (sys/socket.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct mmsghdr
{
    public msghdr msg_hdr;
    public uint msg_len;
}
