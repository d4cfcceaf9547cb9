using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>getpwnam(3): null = no such user. The result is the C library's and lasts until the next call; one thread at a time.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial passwd* getpwnam(string name);
}
