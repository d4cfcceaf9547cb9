using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

internal static unsafe partial class LibIPSec_MB
{
    /// <summary>alloc_mb_mgr: a manager without functions, or null.</summary>
    [LibraryImport(Name)]
    internal static partial IMB_MGR* alloc_mb_mgr(ulong flags);
}
