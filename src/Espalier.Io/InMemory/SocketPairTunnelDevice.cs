using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.InMemory;

/// <summary>
/// One of two tunnel devices that are the ends of a Unix socket pair: a stand-in for a TUN where there is none, with a real descriptor to
/// poll. What one end sends, the other receives, packet by packet. The kernel's queue between them is bounded: a full one gives EAGAIN.
/// </summary>
public sealed unsafe class SocketPairTunnelDevice : ITunnelDevice
{
    private readonly SafeDescriptor _descriptor;

    private SocketPairTunnelDevice(SafeDescriptor descriptor) => _descriptor = descriptor;

    /// <inheritdoc/>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>Two linked ends: one for the data plane, one for whoever plays the host. <paramref name="bufferBytes"/> bounds each direction.</summary>
    public static (SocketPairTunnelDevice First, SocketPairTunnelDevice Second) CreatePair(int bufferBytes = 212_992)
    {
        int* ends = stackalloc int[2];
        if (Libc.socketpair(Socket.AF_UNIX, Socket.SOCK_SEQPACKET | Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC, 0, ends) != 0)
        {
            throw DeviceException.FromLast("cannot make a Unix socket pair");
        }

        var (first, second) = (new SafeDescriptor(ends[0]), new SafeDescriptor(ends[1]));
        Sockets.SocketOptions.SetBuffer(first, Socket.SO_SNDBUFFORCE, Socket.SO_SNDBUF, bufferBytes, out _);
        Sockets.SocketOptions.SetBuffer(second, Socket.SO_SNDBUFFORCE, Socket.SO_SNDBUF, bufferBytes, out _);
        return (new SocketPairTunnelDevice(first), new SocketPairTunnelDevice(second));
    }

    /// <inheritdoc/>
    /// <exception cref="DeviceException">The other end is closed.</exception>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        batch.Clear();
        int room = batch.SlotSize - batch.Headroom;
        int count = 0;
        fixed (byte* buffer = batch.Buffer)
        {
            while (count < batch.Capacity)
            {
                int offset = batch.SlotStart(count) + batch.Headroom;
                nint length = Libc.recvfrom(_descriptor, buffer + offset, (nuint)room, Socket.MSG_TRUNC, null, null);
                if (length > 0)
                {
                    batch.Reads++;
                    batch[count++] = new PacketSlot { Offset = offset, Length = (int)Math.Min(length, room), Truncated = length > room };
                }
                else if (length == 0 && count == 0)
                {
                    throw new DeviceException("the other end of the tunnel device in memory is closed", Errno.EPIPE);
                }
                else if (length == 0 || Errno.Last != Errno.EINTR)
                {
                    break;
                }
            }
        }

        batch.Count = count;
        return count;
    }

    /// <inheritdoc/>
    /// <remarks>An empty packet is refused with EINVAL, as by a TUN: the other end would take it for the end of the connection.</remarks>
    public int Send(ReadOnlySpan<byte> packet)
    {
        if (packet.IsEmpty)
        {
            return Errno.EINVAL;
        }

        fixed (byte* data = packet)
        {
            while (true)
            {
                if (Libc.sendto(_descriptor, data, (nuint)packet.Length, Socket.MSG_NOSIGNAL, null, 0) >= 0)
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

    /// <summary>Closes this end.</summary>
    public void Dispose() => _descriptor.Dispose();
}
