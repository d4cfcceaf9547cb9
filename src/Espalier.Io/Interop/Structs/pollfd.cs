using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct pollfd (poll.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct pollfd
{
    public int fd;
    public short events;
    public short revents;
}
