using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct statx (linux/stat.h) with the members that are in use.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct statx
{
    [FieldOffset(0)]
    public uint stx_mask;

    [FieldOffset(28)]
    public ushort stx_mode;
}
