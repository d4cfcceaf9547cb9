using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>recvmmsg(2), always without a timeout (its timeout is checked only between datagrams).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int recvmmsg(SafeDescriptor fd, mmsghdr* msgvec, uint vlen, int flags, void* timeout);
}
