using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.Tun;

/// <summary>
/// One queue of a TUN: a descriptor of its own, of which one thread may read while another writes. The kernel hands a flow always to the same queue.
/// </summary>
internal sealed unsafe class TunQueue(SafeDescriptor descriptor, string name, bool hasVnetHeader, TunOffloads offloads, bool reads = true) : ITunnelDevice
{
    private readonly SuperPacketReader? _superReader = hasVnetHeader && reads ? new SuperPacketReader(descriptor) : null;
    private readonly SuperPacketWriter? _superWriter = hasVnetHeader ? new SuperPacketWriter(descriptor, offloads) : null;

    /// <summary>Super-packets read and written so far.</summary>
    internal (long Read, long Written) SuperPackets => (_superReader?.SuperPackets ?? 0, _superWriter?.SuperPackets ?? 0);

    /// <summary>The errno by which the kernel refused a super-packet that was written; 0 = it has not.</summary>
    internal int WriteRefusal => _superWriter?.Refusal ?? 0;

    /// <inheritdoc/>
    public int PollDescriptor => descriptor.Number;

    /// <inheritdoc/>
    /// <remarks>A packet that fills its slot to the last byte may have been cut off by the kernel, which does not tell: it is marked Truncated.</remarks>
    /// <exception cref="DeviceException">The device was deleted.</exception>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (_superReader is { } reader)
        {
            ThrowIfLost(reader.Receive(batch));
            return batch.Count;
        }

        batch.Clear();
        int room = batch.SlotSize - batch.Headroom;
        int count = 0;
        fixed (byte* buffer = batch.Buffer)
        {
            while (count < batch.Capacity)
            {
                int offset = batch.SlotStart(count) + batch.Headroom;
                nint length = Libc.read(descriptor, buffer + offset, (nuint)room);
                if (length > 0)
                {
                    batch.Reads++;
                    batch[count++] = new PacketSlot { Offset = offset, Length = (int)length, Truncated = length == room };
                }
                else if (length == 0 || Errno.Last != Errno.EINTR)
                {
                    ThrowIfLost(length == 0 ? Errno.EAGAIN : Errno.Last);
                    break;
                }
            }
        }

        batch.Count = count;
        return count;
    }

    /// <inheritdoc/>
    public int Send(ReadOnlySpan<byte> packet)
    {
        fixed (byte* data = packet)
        {
            virtio_net_hdr plain = default;
            iovec* vectors = stackalloc iovec[2];
            vectors[0] = new iovec { iov_base = &plain, iov_len = (nuint)sizeof(virtio_net_hdr) };
            vectors[1] = new iovec { iov_base = data, iov_len = (nuint)packet.Length };
            int first = _superWriter is null ? 1 : 0;
            while (true)
            {
                if (Libc.writev(descriptor, vectors + first, 2 - first) >= 0)
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

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (_superWriter is { } writer)
        {
            return writer.Send(batch, slots);
        }

        int sent = 0;
        foreach (int index in slots)
        {
            batch[index].Error = Send(batch.Packet(index));
            sent += batch[index].Error == 0 ? 1 : 0;
        }

        return sent;
    }

    /// <summary>Closes the queue; with the last one the device goes.</summary>
    public void Dispose() => descriptor.Dispose();

    private void ThrowIfLost(int errno)
    {
        if (errno is Errno.EBADFD or Errno.EBADF)
        {
            throw new DeviceException($"the TUN device {name} was deleted by somebody else: start 'espalier run' again", errno);
        }
    }
}
