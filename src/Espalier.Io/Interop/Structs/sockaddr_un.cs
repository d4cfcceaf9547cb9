using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct sockaddr_un (sys/un.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sockaddr_un
{
    public ushort sun_family;
    public fixed byte sun_path[108];
}
