using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

internal static unsafe partial class LibIPSec_MB
{
    /// <summary>init_mb_mgr_auto: fills in the functions that fit this processor.</summary>
    [LibraryImport(Name)]
    internal static partial void init_mb_mgr_auto(IMB_MGR* state, int* arch);
}
