using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct passwd (pwd.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct passwd
{
    public byte* pw_name;
    public byte* pw_passwd;
    public uint pw_uid;
    public uint pw_gid;
    public byte* pw_gecos;
    public byte* pw_dir;
    public byte* pw_shell;
}
