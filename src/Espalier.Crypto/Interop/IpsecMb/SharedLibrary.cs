using System.Reflection;
using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>Finds the shared library, whose name has the major version in it.</summary>
internal static class SharedLibrary
{
    /// <summary>What it may be called, newest first.</summary>
    internal static readonly string[] Names = ["libIPSec_MB.so.2", "libIPSec_MB.so.1"];

    /// <summary>For imports of <see cref="LibIPSec_MB.Name"/>; 0 = not here, or another library is asked for.</summary>
    internal static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        nint handle = 0;
        return name == LibIPSec_MB.Name && Array.Exists(Names, shared => NativeLibrary.TryLoad(shared, out handle)) ? handle : 0;
    }
}
