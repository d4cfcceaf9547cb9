using System.Buffers.Binary;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Coalescing;

/// <summary>
/// The kernel's GRO rules in plain words, over whole packets in lists. A run is the list of its packets' numbers; runs are in the order in which
/// they began. Slow, and shares nothing with the product but the parser of inner packets.
/// </summary>
internal sealed class NaiveCoalescer
{
    private readonly List<Parsed> _packets = [];
    private readonly List<(Flow? Flow, List<int> Run)> _open = [];

    public List<List<int>> Runs { get; } = [];

    public void Add(byte[] bytes)
    {
        var packet = new Parsed(bytes);
        int number = _packets.Count;
        _packets.Add(packet);
        if (packet.IsFragment)
        {
            _open.Clear();
        }

        bool isCorrupt = false;
        int index = packet.Flow is null ? -1 : _open.FindIndex(entry => entry.Flow == packet.Flow);
        if (index >= 0)
        {
            var run = _open[index].Run;
            var head = _packets[run[0]];
            bool follows = packet.MayJoin && Follows(run, head, packet) && head.IsIntact;
            isCorrupt = follows && !packet.IsIntact;
            if (follows && packet.IsIntact)
            {
                run.Add(number);
            }

            // What does not follow, and what is the last, ends the run.
            if (!follows || isCorrupt || packet.IsLast || packet.Payload < head.Payload || (!head.IsTcp && run.Count == 64))
            {
                _open.RemoveAt(index);
            }

            if (follows && !isCorrupt)
            {
                return;
            }
        }

        List<int> started = [number];
        Runs.Add(started);
        if (packet.MayJoin && !packet.IsLast && !isCorrupt)
        {
            if (_open.Count == 8)
            {
                _open.RemoveAt(0);
            }

            _open.Add((packet.Flow, started));
        }
    }

    /// <summary>The flow of a whole packet of TCP or UDP; else null.</summary>
    public static Flow? FlowOf(byte[] packet) => new Parsed(packet).Flow;

    private bool Follows(List<int> run, Parsed head, Parsed packet)
    {
        int payload = run.Sum(number => _packets[number].Payload);
        if (packet.At != head.At || packet.Headers != head.Headers || packet.Payload > head.Payload || head.Headers + payload + packet.Payload > 65_535)
        {
            return false;
        }

        byte[] h = head.Bytes;
        byte[] p = packet.Bytes;
        if (h[0] >> 4 == 6)
        {
            // All but the length and the addresses, which the flow has.
            if (!Enumerable.Range(0, head.At).All(i => i is 4 or 5 || h[i] == p[i]))
            {
                return false;
            }
        }
        else
        {
            byte[] second = run.Count > 1 ? _packets[run[1]].Bytes : p;
            bool isFixed = (h[6] & 0x40) != 0 && Word(second, 4) == Word(h, 4);
            if (h[1] != p[1] || h[8] != p[8] || h[6] != p[6] || Word(p, 4) != ((Word(h, 4) + (isFixed ? 0 : run.Count)) & 0xFFFF))
            {
                return false;
            }
        }

        // All of TCP's header but sequence number, FIN, PSH and checksum.
        int at = head.At;
        return !head.IsTcp || (
            Number(p, at + 4) == Number(h, at + 4) + (uint)payload
            && Enumerable.Range(0, head.Headers - at).All(i => i is (>= 4 and < 8) or 16 or 17 || ((h[at + i] ^ p[at + i]) & (i == 13 ? 0xF6 : 0xFF)) == 0));
    }

    private static ushort Word(byte[] packet, int at) => BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(at));

    private static uint Number(byte[] packet, int at) => BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(at));

    /// <summary>Addresses, ports and protocol.</summary>
    internal sealed record Flow(InternetAddress Source, InternetAddress Destination, ushort SourcePort, ushort DestinationPort, byte Protocol);

    private sealed class Parsed
    {
        private bool? _isIntact;

        public Parsed(byte[] bytes)
        {
            Bytes = bytes;
            if (!InnerPacketParser.TryParse(bytes, out var summary))
            {
                return;
            }

            IsFragment = summary.IsFragment;
            At = summary.HeaderLength;
            IsTcp = summary.Protocol == IpProtocol.Tcp;
            if (summary.Protocol is not (IpProtocol.Tcp or IpProtocol.Udp) || IsFragment || !summary.PortsKnown)
            {
                return;
            }

            Flow = new Flow(summary.Source, summary.Destination, summary.SourcePort, summary.DestinationPort, summary.Protocol);
            bool isPlain = summary.Version == IpVersion.IPv4
                ? At == 20 && (Word(bytes, 6) & 0xBFFF) == 0 && NaiveChecksum.Sum(bytes.AsSpan(0, 20)) == 0xFFFF
                : IPv6HeaderChain.TryWalk(bytes[6], bytes.AsSpan(40), out var chain) && !chain.HasFragmentHeader;
            int transport = bytes.Length - At;
            if (!isPlain || summary.TotalLength != bytes.Length || transport < (IsTcp ? 20 : 8))
            {
                return;
            }

            Headers = At + (IsTcp ? (bytes[At + 12] >> 4) * 4 : 8);
            bool isWhole = IsTcp
                ? Headers >= At + 20 && (bytes[At + 13] & 0xA6) == 0 // CWR, URG, RST, SYN
                : Word(bytes, At + 4) == transport && Word(bytes, At + 6) != 0;
            MayJoin = isWhole && Headers < bytes.Length;
            IsLast = IsTcp && (bytes[At + 13] & 0x09) != 0; // PSH, FIN
        }

        public byte[] Bytes { get; }

        public Flow? Flow { get; }

        public bool IsFragment { get; }

        public bool IsTcp { get; }

        public bool MayJoin { get; }

        public bool IsLast { get; }

        public int At { get; }

        public int Headers { get; }

        public int Payload => Bytes.Length - Headers;

        public bool IsIntact => _isIntact ??= NaiveChecksum.Sum(
            [.. Bytes[0] >> 4 == 4 ? Bytes[12..20] : Bytes[8..40], (byte)((Bytes.Length - At) >> 8), (byte)(Bytes.Length - At), 0, IsTcp ? (byte)6 : (byte)17, .. Bytes[At..]]) == 0xFFFF;
    }
}
