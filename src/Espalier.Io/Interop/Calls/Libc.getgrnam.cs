using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>getgrnam(3): null = no such group. The result is the C library's and lasts until the next call; one thread at a time.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial group* getgrnam(string name);
}
