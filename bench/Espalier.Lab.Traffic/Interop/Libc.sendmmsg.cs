using System.Runtime.InteropServices;

namespace Espalier.Lab.Traffic.Interop;

internal static unsafe partial class Libc
{
    /// <summary>sendmmsg(2): the number of messages sent; -1 only where the first one failed.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int sendmmsg(int fd, mmsghdr* msgvec, uint vlen, int flags);
}
