using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct ucred (sys/socket.h): what SO_PEERCRED tells.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ucred
{
    public int pid;
    public uint uid;
    public uint gid;
}
