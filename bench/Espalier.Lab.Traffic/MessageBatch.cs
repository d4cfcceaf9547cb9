using System.Net.Sockets;
using System.Runtime.InteropServices;
using Espalier.Lab.Traffic.Interop;

namespace Espalier.Lab.Traffic;

/// <summary>Datagrams that one system call sends or receives. Allocated once and pinned; belongs to one thread.</summary>
internal sealed unsafe class MessageBatch
{
    /// <summary>Datagrams a call.</summary>
    internal const int Count = 64;

    private const int MSG_WAITFORONE = 0x10000;

    // A full queue, a peer that does not listen, and the ways in which a tunnel that died shows: none of them ends a load.
    private const int EPERM = 1, EINTR = 4, EAGAIN = 11, EACCES = 13, EINVAL = 22, ENETDOWN = 100, ENETUNREACH = 101, ENOBUFS = 105, ECONNREFUSED = 111, EHOSTUNREACH = 113;

    private readonly int _size;
    private readonly byte[] _bytes;
    private readonly mmsghdr[] _headers = GC.AllocateArray<mmsghdr>(Count, pinned: true);
    private readonly iovec[] _vectors = GC.AllocateArray<iovec>(Count, pinned: true);

    /// <summary>Room for datagrams of <paramref name="size"/> bytes.</summary>
    internal MessageBatch(int size)
    {
        _size = size;
        _bytes = GC.AllocateArray<byte>(Count * size, pinned: true);
        for (int i = 0; i < Count; i++)
        {
            _vectors[i] = new iovec { iov_base = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(_bytes, i * size), iov_len = (nuint)size };
            _headers[i].msg_hdr.msg_iov = (iovec*)Marshal.UnsafeAddrOfPinnedArrayElement(_vectors, i);
            _headers[i].msg_hdr.msg_iovlen = 1;
        }
    }

    /// <summary>Bytes of datagram <paramref name="index"/>.</summary>
    internal Span<byte> this[int index] => _bytes.AsSpan(index * _size, _size);

    /// <summary>Length of datagram <paramref name="index"/> as received.</summary>
    internal int Length(int index) => (int)_headers[index].msg_len;

    /// <summary>Sends the first <paramref name="count"/> datagrams on a connected socket; those that a full queue refused are not counted.</summary>
    internal int Send(Socket socket, int count)
    {
        fixed (mmsghdr* headers = _headers)
        {
            int sent = Libc.sendmmsg((int)socket.Handle, headers, (uint)count, 0);
            return sent >= 0 ? sent : Harmless(Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>Waits for datagrams, at most for the socket's receive timeout; 0 if there was none.</summary>
    internal int Receive(Socket socket)
    {
        fixed (mmsghdr* headers = _headers)
        {
            int received = Libc.recvmmsg((int)socket.Handle, headers, Count, MSG_WAITFORONE, null);
            return received >= 0 ? received : Harmless(Marshal.GetLastPInvokeError());
        }
    }

    private static int Harmless(int error) =>
        error is EPERM or EINTR or EAGAIN or EACCES or EINVAL or ENETDOWN or ENETUNREACH or ENOBUFS or ECONNREFUSED or EHOSTUNREACH ? 0 : throw new SocketException(error);
}
