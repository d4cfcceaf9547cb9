using Espalier.Io.Interop;

namespace Espalier.Io.Sockets;

/// <summary>
/// The kernel's view of a batch: for each message a mmsghdr, an iovec, room for a socket address and room for control messages. Allocated
/// once and pinned, so that a system call over a batch allocates nothing. Belongs to one thread.
/// </summary>
internal sealed unsafe class MessageArray
{
    /// <summary>Room for control messages: packet information (40), traffic class (24), drop counter (24), GRO segment size (24), and some.</summary>
    internal const int ControlCapacity = 128;

    private mmsghdr[] _headers = [];
    private iovec[] _vectors = [];
    private byte[] _names = [];
    private byte[] _controls = [];

    /// <summary>Number of messages there is room for.</summary>
    internal int Capacity { get; private set; }

    /// <summary>First message.</summary>
    internal mmsghdr* Headers { get; private set; }

    /// <summary>First vector.</summary>
    internal iovec* Vectors { get; private set; }

    /// <summary>First address, <see cref="SocketAddress.Capacity"/> bytes each.</summary>
    internal byte* Names { get; private set; }

    /// <summary>First control buffer, <see cref="ControlCapacity"/> bytes each.</summary>
    internal byte* Controls { get; private set; }

    /// <summary>Makes room for <paramref name="count"/> messages; allocates only where there was not enough.</summary>
    internal void EnsureCapacity(int count)
    {
        if (count <= Capacity)
        {
            return;
        }

        _headers = GC.AllocateArray<mmsghdr>(count, pinned: true);
        _vectors = GC.AllocateArray<iovec>(count, pinned: true);
        _names = GC.AllocateArray<byte>(count * SocketAddress.Capacity, pinned: true);
        _controls = GC.AllocateArray<byte>(count * ControlCapacity, pinned: true);

        // The arrays are on the pinned heap: their addresses hold for as long as the fields above keep them.
        fixed (mmsghdr* headers = _headers)
        fixed (iovec* vectors = _vectors)
        fixed (byte* names = _names)
        fixed (byte* controls = _controls)
        {
            Headers = headers;
            Vectors = vectors;
            Names = names;
            Controls = controls;
        }

        for (int i = 0; i < count; i++)
        {
            Headers[i].msg_hdr.msg_iov = Vectors + i;
            Headers[i].msg_hdr.msg_iovlen = 1;
            Headers[i].msg_hdr.msg_name = Names + (i * SocketAddress.Capacity);
            Headers[i].msg_hdr.msg_control = Controls + (i * ControlCapacity);
        }

        Capacity = count;
    }
}
