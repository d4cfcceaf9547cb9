using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct rlimit (sys/resource.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct rlimit
{
    public ulong rlim_cur;
    public ulong rlim_max;
}
