using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct sockaddr_in (netinet/in.h). Port and address in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sockaddr_in
{
    public ushort sin_family;
    public ushort sin_port;
    public uint sin_addr;
    public fixed byte sin_zero[8];
}
