using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Offload;
using Espalier.Wire.Segmentation;

namespace Espalier.Io.Tun;

/// <summary>
/// Reads a TUN that has offloads: each call brings one packet with its vnet header, which may be a super-packet of up to 64 KB. It is cut into the
/// slots of the batch, so that behind this class every packet is as it goes on the wire. What does not fit into the batch, or exceeds its limit of segments,
/// goes into the next one.
/// Belongs to the reading thread.
/// </summary>
internal sealed unsafe class SuperPacketReader(SafeDescriptor descriptor)
{
    // 65,535 bytes of IPv4, or 65,535 behind an IPv6 header.
    private const int LargestPacket = 65_575;

    private readonly byte[] _buffer = Touched(TunVnetHeader.Length + LargestPacket);
    private VnetHeader _header;
    private int _length;
    private int _nextSegment;
    private int _segmentCount;

    /// <summary>Super-packets read so far.</summary>
    internal long SuperPackets { get; private set; }

    /// <summary>Fills the batch. Returns 0, or the errno that ended it.</summary>
    internal int Receive(PacketBatch batch)
    {
        batch.Clear();
        fixed (byte* start = _buffer)
        {
            while (batch.Count < batch.Capacity)
            {
                if (_nextSegment < _segmentCount)
                {
                    WriteSegments(batch);
                    if (batch.Count >= batch.SegmentLimit)
                    {
                        return 0;
                    }

                    continue;
                }

                nint length = Libc.read(descriptor, start, (nuint)_buffer.Length);
                if (length > 0)
                {
                    batch.Reads++;
                    Take(batch, (int)length);
                }
                else if (length == 0 || Errno.Last != Errno.EINTR)
                {
                    return length == 0 ? Errno.EAGAIN : Errno.Last;
                }
            }
        }

        return 0;
    }

    private static byte[] Touched(int length)
    {
        byte[] buffer = GC.AllocateArray<byte>(length, pinned: true);
        buffer.AsSpan().Fill(1);
        return buffer;
    }

    private Span<byte> Packet => _buffer.AsSpan(TunVnetHeader.Length, _length);

    private void Take(PacketBatch batch, int length)
    {
        // A packet that is not whole, or that its header does not fit, has no bytes: its parser refuses and counts it.
        _length = Math.Max(0, length - TunVnetHeader.Length);
        TunVnetHeader.TryRead(_buffer.AsSpan(0, length), out _header);
        if (_header.GsoType == GsoType.None)
        {
            bool complete = PartialChecksum.TryComplete(Packet, _header);
            Copy(batch, complete ? Packet : []);
            return;
        }

        if (!PacketSegmenter.TryCreate(Packet, _header, Room(batch), out var segmenter, out _) || segmenter.LargestLength > Room(batch))
        {
            Copy(batch, []);
            return;
        }

        SuperPackets++;
        _nextSegment = 0;
        _segmentCount = segmenter.Count;
    }

    private static int Room(PacketBatch batch) => batch.SlotSize - batch.Headroom;

    private static void Copy(PacketBatch batch, ReadOnlySpan<byte> packet)
    {
        int room = Room(batch);
        bool truncated = packet.Length > room;
        packet = truncated ? packet[..room] : packet;
        packet.CopyTo(batch.Buffer.AsSpan(batch.NextOffset(packet.Length)));
        batch.Append(packet.Length, truncated);
    }

    private void WriteSegments(PacketBatch batch)
    {
        // Was created from the same bytes before.
        PacketSegmenter.TryCreate(Packet, _header, Room(batch), out var segmenter, out _);
        segmenter.Skip(_nextSegment);
        while (batch.Count < batch.SegmentLimit)
        {
            int offset = batch.NextOffset(segmenter.LargestLength);
            if (!segmenter.TryWriteNext(batch.Buffer.AsSpan(offset, Room(batch)), out int length))
            {
                break;
            }

            batch.Append(length);
            _nextSegment++;
        }
    }
}
