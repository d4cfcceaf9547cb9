using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

internal static unsafe partial class LibIPSec_MB
{
    /// <summary>free_mb_mgr.</summary>
    [LibraryImport(Name)]
    internal static partial void free_mb_mgr(IMB_MGR* state);
}
