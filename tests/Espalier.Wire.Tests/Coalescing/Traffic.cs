using Espalier.Wire.Tests.Offload;

namespace Espalier.Wire.Tests.Coalescing;

/// <summary>
/// Random traffic of several flows as it comes out of a tunnel: mostly consecutive packets of equal size, with all that ends a run now and then,
/// and with losses, duplicates, packets out of order and damaged ones.
/// </summary>
/// <param name="random">Where all chance comes from.</param>
/// <param name="isPlain">
/// Only what our rules and those of the kernel's GRO agree on: no packet that the kernel lets overtake a run of its flow (damaged, fragments, with
/// another flow label, UDP without payload or checksum), no flows that differ only in flow label or extension headers, no fixed identification, no
/// urgent pointer.
/// </param>
internal sealed class Traffic(Random random, bool isPlain = false)
{
    private readonly List<Flow> _flows = [.. Enumerable.Range(0, random.Next(1, 12)).Select(i => new Flow(random, isPlain ? i : null))];

    /// <summary>About <paramref name="count"/> packets in order of arrival.</summary>
    public List<byte[]> Packets(int count)
    {
        var packets = new List<byte[]>();
        var flow = _flows[0];
        while (packets.Count < count)
        {
            flow = random.Next(3) == 0 ? _flows[random.Next(_flows.Count)] : flow;
            byte[] packet = flow.Next();
            switch (random.Next(40))
            {
                case 0: // lost
                    break;
                case 1 when !isPlain || flow.IsTcp: // twice
                    packets.Add(packet);
                    packets.Add([.. packet]);
                    break;
                case 2: // earlier than the one before
                    packets.Insert(Math.Max(0, packets.Count - random.Next(3)), packet);
                    break;
                case 3 when !isPlain: // damaged, anywhere
                    packet[random.Next(packet.Length)] ^= (byte)(1 << random.Next(8));
                    packets.Add(packet);
                    break;
                case 4 when !isPlain: // cut off, or with something behind it
                    packets.Add(random.Next(2) == 0 ? packet[..random.Next(packet.Length)] : [.. packet, 0, 0]);
                    break;
                case 5 when !isPlain: // another protocol, or a piece
                    packet[packet[0] >> 4 == 4 ? random.Next(2) == 0 ? 9 : 7 : 6] = 1;
                    packets.Add(packet);
                    break;
                default:
                    packets.Add(packet);
                    break;
            }
        }

        return packets;
    }

    private sealed class Flow
    {
        private readonly Random _random;
        private readonly int _size;
        private readonly bool _hasFixedId;
        private readonly bool _isPlain;
        private PacketShape _next;

        public Flow(Random random, int? plain)
        {
            _random = random;
            _isPlain = plain is not null;
            _size = random.Next(40) == 0 ? 3000 : random.Next(1, 40);
            _hasFixedId = random.Next(3) == 0 && !_isPlain;
            _next = Shapes.Random(random, 0) with { Flags = 0x10, SegmentsLeft = 0, Options = random.Next(10) == 0 && !_isPlain ? [1, 1, 1, 1] : [] };
            _next = plain is { } number ? _next with { SourcePort = (ushort)(41_000 + number), TimeToLive = 64, UrgentPointer = 0 } : _next;
        }

        public bool IsTcp => _next.IsTcp;

        public byte[] Next()
        {
            int length = _random.Next(12) switch { 0 => _random.Next(_size + 1), 1 => _random.Next(2 * _size), _ => _size };
            byte[] payload = new byte[Math.Max(length, _isPlain && !IsTcp ? 1 : 0)];
            _random.NextBytes(payload);
            var packet = Vary(_next with { Payload = payload });
            _next = _next with
            {
                Sequence = _next.Sequence + (uint)length,
                Identification = (ushort)(_next.Identification + (_hasFixedId ? 0 : 1)),
                Acknowledgment = packet.Acknowledgment,
                Window = packet.Window,
                TrafficClass = packet.TrafficClass,
                TcpOptions = packet.TcpOptions,
            };
            byte[] bytes = packet.Build();
            if (!packet.IsTcp && !_isPlain && _random.Next(30) == 0)
            {
                bytes[packet.TransportOffset + 6] = bytes[packet.TransportOffset + 7] = 0;
            }

            return bytes;
        }

        private PacketShape Vary(PacketShape shape) => _random.Next(60) switch
        {
            0 => shape with { Acknowledgment = shape.Acknowledgment + 1 },
            1 => shape with { Window = (ushort)(shape.Window + 1) },
            2 => shape with { TrafficClass = (byte)(shape.TrafficClass ^ 3) },
            3 => shape with { TimeToLive = (byte)(shape.TimeToLive + 1) },
            4 => shape with { TcpOptions = shape.TcpOptions.Length == 0 ? [] : [.. shape.TcpOptions[..^1], (byte)_random.Next(9)] },
            5 => shape with { Identification = (ushort)(shape.Identification + 7) },
            6 when !_isPlain => shape with { FlowLabel = shape.FlowLabel ^ 1 },
            7 => shape with { DontFragment = !shape.DontFragment },
            8 => shape with { Flags = (byte)_random.Next(256) },
            9 when !_isPlain => shape with { UrgentPointer = (ushort)(shape.UrgentPointer ^ 1) },
            10 when !_isPlain => shape with { ExtensionHeaders = [44] },
            11 or 12 or 13 => shape with { Flags = 0x18 },
            14 => shape with { Flags = 0x11 },
            15 => shape with { Flags = 0x50 },
            _ => shape,
        };
    }
}
