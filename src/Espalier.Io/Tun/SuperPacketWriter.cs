using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Coalescing;

namespace Espalier.Io.Tun;

/// <summary>
/// Writes to a TUN that has offloads: packets of a batch that continue each other are joined, and each run is one call that gathers its pieces from
/// their slots. Belongs to the writing thread.
/// </summary>
internal sealed unsafe class SuperPacketWriter(SafeDescriptor descriptor, TunOffloads offloads)
{
    private readonly bool _joinUdp = (offloads & TunOffloads.Udp) != 0;
    private PacketCoalescer _coalescer = new(0, joinUdp: false);
    private PacketRange[] _ranges = [];
    private int[] _slots = [];
    private iovec[] _vectors = [];
    private readonly byte[] _header = new byte[TunVnetHeader.Length];
    private bool _joins = (offloads & TunOffloads.Tcp) != 0;

    /// <summary>The errno by which the kernel refused a super-packet: from then on none is written; 0 = it has not.</summary>
    internal int Refusal { get; private set; }

    /// <summary>Super-packets written so far.</summary>
    internal long SuperPackets { get; private set; }

    /// <summary>Writes the slots, sets each one's Error, and returns how many the kernel took.</summary>
    internal int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        EnsureCapacity(slots.Length);
        _coalescer.Clear();
        int sent = 0;
        fixed (byte* buffer = batch.Buffer)
        {
            foreach (int slot in slots)
            {
                _slots[_coalescer.PacketsAdded] = slot;
                _coalescer.TryAdd(batch.Buffer, batch[slot].Offset, batch[slot].Length);
                if (!_joins)
                {
                    sent += Flush(batch, buffer);
                }
            }

            return sent + Flush(batch, buffer);
        }
    }

    private void EnsureCapacity(int count)
    {
        if (count > _ranges.Length)
        {
            _coalescer = new PacketCoalescer(count, _joinUdp);
            _ranges = new PacketRange[count];
            _slots = new int[count];
            _vectors = GC.AllocateArray<iovec>(count + 1, pinned: true);
        }
    }

    private int Flush(PacketBatch batch, byte* buffer)
    {
        int sent = 0;
        for (int run = 0; run < _coalescer.Count; run++)
        {
            int count = _coalescer.Complete(run, batch.Buffer, _ranges, out var header);
            TunVnetHeader.Write(_header, header);
            int errno = Write(buffer, count);
            if (count > 1)
            {
                SuperPackets += errno == 0 ? 1 : 0;

                // A kernel that does not take such a header will not take the next.
                if (errno == Errno.EINVAL)
                {
                    (_joins, Refusal) = (false, errno);
                }
            }

            sent += errno == 0 ? count : 0;
            for (int packet = _coalescer.FirstPacket(run); count > 0; count--, packet = _coalescer.NextPacket(packet))
            {
                batch[_slots[packet]].Error = errno;
            }
        }

        _coalescer.Clear();
        return sent;
    }

    private int Write(byte* buffer, int count)
    {
        fixed (byte* header = _header)
        fixed (iovec* vectors = _vectors)
        {
            vectors[0] = new iovec { iov_base = header, iov_len = TunVnetHeader.Length };
            for (int i = 0; i < count; i++)
            {
                vectors[i + 1] = new iovec { iov_base = buffer + _ranges[i].Offset, iov_len = (nuint)_ranges[i].Length };
            }

            while (Libc.writev(descriptor, vectors, count + 1) < 0)
            {
                int errno = Errno.Last;
                if (errno != Errno.EINTR)
                {
                    return errno;
                }
            }
        }

        return 0;
    }
}
