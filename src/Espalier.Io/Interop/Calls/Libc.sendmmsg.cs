using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>sendmmsg(2): the number of messages sent; an error only where the first one failed.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int sendmmsg(SafeDescriptor fd, mmsghdr* msgvec, uint vlen, int flags);
}
