using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>geteuid(2); cannot fail.</summary>
    [LibraryImport("libc")]
    internal static partial uint geteuid();
}
