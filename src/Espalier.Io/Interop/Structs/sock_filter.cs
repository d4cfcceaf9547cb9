using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct sock_filter (linux/filter.h): one instruction of classic BPF.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct sock_filter(ushort code, byte jt, byte jf, uint k)
{
    public ushort code = code;
    public byte jt = jt;
    public byte jf = jf;
    public uint k = k;
}
