using Espalier.Io.Interop;

namespace Espalier.Io.Sockets;

/// <summary>One message by sendmsg(2), for what is too rare to be sent in batches.</summary>
internal static unsafe class SingleMessage
{
    /// <summary>Sends it without waiting, again where a signal came in between; 0, or the errno with which the kernel refuses it.</summary>
    internal static int Send(SafeDescriptor descriptor, msghdr* header)
    {
        while (true)
        {
            if (Libc.sendmsg(descriptor, header, Socket.MSG_DONTWAIT | Socket.MSG_NOSIGNAL) >= 0)
            {
                return 0;
            }

            int errno = Errno.Last;
            if (errno != Errno.EINTR)
            {
                return errno;
            }
        }
    }
}
