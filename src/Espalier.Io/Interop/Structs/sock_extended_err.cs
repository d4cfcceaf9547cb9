using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct sock_extended_err (linux/errqueue.h): what the error queue tells; the offender's address follows.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sock_extended_err
{
    public uint ee_errno;
    public byte ee_origin;
    public byte ee_type;
    public byte ee_code;
    public byte ee_pad;
    public uint ee_info;
    public uint ee_data;
}
