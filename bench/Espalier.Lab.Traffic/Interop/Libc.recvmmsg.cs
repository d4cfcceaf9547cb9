using System.Runtime.InteropServices;

namespace Espalier.Lab.Traffic.Interop;

internal static unsafe partial class Libc
{
    /// <summary>recvmmsg(2), without a timeout of its own.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int recvmmsg(int fd, mmsghdr* msgvec, uint vlen, int flags, void* timeout);
}
