using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

internal static unsafe partial class LibIPSec_MB
{
    /// <summary>imb_get_version: major, minor and patch in a byte each, lowest last.</summary>
    [LibraryImport(Name)]
    internal static partial uint imb_get_version();
}
