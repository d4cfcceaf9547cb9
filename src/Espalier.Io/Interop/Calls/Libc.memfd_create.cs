using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>memfd_create(2): an anonymous file in memory.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int memfd_create(string name, uint flags);
}
