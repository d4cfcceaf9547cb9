using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Coalescing;

/// <summary>
/// Joins consecutive packets of a flow into super-packets for one write each to a TUN with IFF_VNET_HDR, by the rules of the kernel's own GRO
/// (dev_gro_receive, inet_gro_receive, ipv6_gro_receive, tcp_gro_receive, udp_gro_receive_segment; docs/packets.md has the table). No payload is
/// copied: a super-packet is the first packet, with its headers changed in place, and the payloads of the others.
/// <code>
///   Add each packet in order of arrival ─▶ Complete each run in turn: ranges for writev, vnet header ─▶ Clear
/// </code>
/// Runs stand in the order in which their first packets came, and of one flow none overtakes another. A packet that joins no other goes on as it
/// is. Allocates nothing after its construction. Owned by one worker.
/// </summary>
public sealed class PacketCoalescer
{
    /// <summary>Most datagrams of UDP in a run (the kernel's UDP_GRO_CNT_MAX; what TUN takes is no less).</summary>
    public const int MaximumDatagrams = 64;

    private const int TcpChecksumOffset = 16;
    private const int UdpChecksumOffset = 6;

    private readonly PacketRange[] _packets;
    private readonly int[] _next;
    private readonly Run[] _runs;
    private readonly FlowTable _flows = new();
    private readonly bool _joinUdp;
    private int _packetCount;

    /// <summary>Makes room.</summary>
    /// <param name="capacity">Most packets between two calls of <see cref="Clear"/>; a run holds no more.</param>
    /// <param name="joinUdp">False where the TUN takes no USO (Linux before 6.2): packets of UDP are not joined.</param>
    public PacketCoalescer(int capacity, bool joinUdp)
    {
        _packets = new PacketRange[capacity];
        _next = new int[capacity];
        _runs = new Run[capacity];
        _joinUdp = joinUdp;
    }

    /// <summary>Number of runs, each of which is one write.</summary>
    public int Count { get; private set; }

    /// <summary>Number of packets added.</summary>
    public int PacketsAdded => _packetCount;

    /// <summary>Forgets all packets.</summary>
    public void Clear()
    {
        _flows.Clear();
        _packetCount = 0;
        Count = 0;
    }

    /// <summary>
    /// Adds the packet of <paramref name="length"/> bytes at <paramref name="offset"/>, without anything behind it. The buffer is the same for all
    /// packets and does not change before they are complete. False, and nothing added, where the capacity is reached.
    /// </summary>
    public bool TryAdd(ReadOnlySpan<byte> buffer, int offset, int length)
    {
        if (_packetCount == _packets.Length)
        {
            return false;
        }

        var packet = buffer.Slice(offset, length);
        int number = _packetCount++;
        _packets[number] = new PacketRange(offset, length);

        // Read into the place of the head of the next run, which it becomes unless it joins one.
        ref var candidate = ref _runs[Count].Head;
        candidate.Read(packet);
        candidate.MayJoin &= candidate.IsTcp || _joinUdp;
        if (candidate.HasFlow)
        {
            AddToFlow(buffer, packet, candidate, number);
            return true;
        }

        // A fragment may be of any flow: what has come is not to be overtaken by what comes.
        if (candidate.IsFragment)
        {
            _flows.Clear();
        }

        Start(number);
        return true;
    }

    /// <summary>Number of the first packet of a run, counted from 0 in the order of <see cref="TryAdd"/>.</summary>
    public int FirstPacket(int run) => _runs[run].First;

    /// <summary>Number of the packet behind this one in its run; only where there is one.</summary>
    public int NextPacket(int number) => _next[number];

    /// <summary>
    /// Makes the run ready to be written: changes the headers of its first packet, fills the start of <paramref name="ranges"/> with what is to be
    /// written in order (the first packet, then payloads) and returns their number.
    /// </summary>
    public int Complete(int run, Span<byte> buffer, Span<PacketRange> ranges, out VnetHeader header)
    {
        ref readonly var joined = ref _runs[run];
        header = joined.Count == 1 ? default : WriteHeaders(joined, buffer.Slice(_packets[joined.First].Offset, joined.Head.HeaderLength));
        ranges[0] = _packets[joined.First];
        int headerLength = joined.Head.HeaderLength;
        int number = joined.First;
        for (int i = 1; i < joined.Count; i++)
        {
            number = _next[number];
            ranges[i] = new PacketRange(_packets[number].Offset + headerLength, _packets[number].Length - headerLength);
        }

        return joined.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddToFlow(ReadOnlySpan<byte> buffer, ReadOnlySpan<byte> packet, in Candidate candidate, int number)
    {
        int slot = _flows.Find(candidate.Flow);
        bool isCorrupt = false;
        if (slot != FlowTable.None)
        {
            ref var run = ref _runs[_flows.RunIn(slot)];
            var range = _packets[run.First];
            var head = buffer.Slice(range.Offset, range.Length);
            if (candidate.MayJoin && run.Continues(head, packet, candidate) && VerifyHead(ref run, head))
            {
                if (candidate.HasValidChecksum(packet))
                {
                    Join(ref run, slot, candidate, packet, number);
                    return;
                }

                isCorrupt = true;
            }

            _flows.Close(slot);
        }

        int started = Start(number);
        if (candidate.MayJoin && !candidate.EndsRun && !isCorrupt)
        {
            _flows.Open(candidate.Flow, started);
        }
    }

    private static bool VerifyHead(ref Run run, ReadOnlySpan<byte> head)
    {
        run.IsHeadVerified = run.IsHeadVerified || run.Head.HasValidChecksum(head);
        return run.IsHeadVerified;
    }

    private int Start(int number)
    {
        ref var run = ref _runs[Count];
        run.First = number;
        run.Last = number;
        run.Count = 1;
        run.Length = run.Head.Length;
        run.IsHeadVerified = false;
        run.EndingFlags = 0;
        return Count++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Join(ref Run run, int slot, in Candidate candidate, ReadOnlySpan<byte> packet, int number)
    {
        _next[run.Last] = number;
        run.Last = number;
        run.Count++;
        run.Length += candidate.PayloadLength;
        if (candidate.IsTcp)
        {
            run.EndingFlags |= (byte)(packet[candidate.TransportOffset + 13] & TcpFlags.Ending);
        }

        // Nothing follows a shorter packet.
        if (candidate.EndsRun || candidate.PayloadLength < run.Head.PayloadLength || (!candidate.IsTcp && run.Count == MaximumDatagrams))
        {
            _flows.Close(slot);
        }
    }

    private static VnetHeader WriteHeaders(in Run run, Span<byte> headers)
    {
        ref readonly var head = ref run.Head;
        if (head.Flow.IsIPv4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(headers[2..], (ushort)run.Length);
            PacketWriter.WriteIPv4Checksum(headers[..head.TransportOffset]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(headers[4..], (ushort)(run.Length - IPv6Packet.FixedHeaderLength));
        }

        int transportLength = run.Length - head.TransportOffset;
        var transport = headers[head.TransportOffset..];
        if (head.IsTcp)
        {
            transport[13] |= run.EndingFlags;
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(transport[4..], (ushort)transportLength);
        }

        int checksumOffset = head.IsTcp ? TcpChecksumOffset : UdpChecksumOffset;
        BinaryPrimitives.WriteUInt16BigEndian(transport[checksumOffset..], head.PartialChecksum(headers, transportLength));
        return new VnetHeader
        {
            NeedsChecksum = true,
            GsoType = !head.IsTcp ? GsoType.UdpL4 : head.Flow.IsIPv4 ? GsoType.TcpV4 : GsoType.TcpV6,
            HeaderLength = (ushort)head.HeaderLength,
            GsoSize = (ushort)head.PayloadLength,
            ChecksumStart = (ushort)head.TransportOffset,
            ChecksumOffset = (ushort)checksumOffset,
        };
    }
}
