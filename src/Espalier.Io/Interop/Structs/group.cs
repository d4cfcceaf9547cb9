using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct group (grp.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct group
{
    public byte* gr_name;
    public byte* gr_passwd;
    public uint gr_gid;
    public byte** gr_mem;
}
