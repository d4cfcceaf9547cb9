using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct timespec (time.h) of 64-bit machines.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct timespec
{
    public long tv_sec;
    public long tv_nsec;
}
