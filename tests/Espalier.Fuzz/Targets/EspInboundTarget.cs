using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Inbound;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Fuzz.Targets;

/// <summary>
/// What a peer, or anyone, sends to the inbound pipeline, between devices in memory:
/// <code>
///   input     tunnel (1) │ datagram …
///   datagram  kind (1) │ length (2) │ bytes          kind: bits 0-1 how, bits 2-3 outer ECN, bit 4 with a sequence number (4) before the length
///   how       0 as it is │ 1 sealed as plaintext with its trailer │ 2 sealed as inner packet │ 3 sealed with the first byte as next header
/// </code>
/// Each datagram is delivered or counted under one reason. One that was sealed with the key never fails integrity. What is delivered is a whole packet
/// that the policies let in, no number twice; and it is the same when each datagram comes in a batch of its own.
/// </summary>
internal sealed class EspInboundTarget : FuzzTarget
{
    private const int MostDatagrams = 24;
    private const int LargestDatagram = 4096;

    private static readonly TunnelSettings[] _tunnels =
    [
        new(),
        new() { Flags = SaFlags.AfUnspec | SaFlags.Esn | SaFlags.DecapDscp, Window = 256 },
        new() { Suite = Suite.CbcSha256, Udp = false, OuterIPv6 = true },
        new() { Suite = Suite.NullSha1, Flags = SaFlags.AfUnspec | SaFlags.NoEcn, Window = 32 },
    ];

    private static readonly (AddressPrefix Source, AddressPrefix Destination)[] _letIn =
    [
        (AddressPrefix.Parse("10.1.0.0/16"), AddressPrefix.Parse("10.2.0.0/16")),
        (AddressPrefix.Parse("10.1.0.0/16"), AddressPrefix.Parse("224.0.0.0/4")),
        (AddressPrefix.Parse("fd01::/16"), AddressPrefix.Parse("fd02::/16")),
    ];

    private readonly Tunnel?[] _open = new Tunnel?[_tunnels.Length];

    public override string Name => "esp-inbound";

    public override IEnumerable<byte[]> Seeds()
    {
        byte[] udp = Packets.Udp("10.1.0.1", "10.2.0.1", 20);
        byte[] udp6 = Packets.Udp("fd01::1", "fd02::7", 20, trafficClass: 2);
        byte[] fragment = Packets.Udp("10.1.0.1", "10.2.0.9", 24, dontFragment: false);
        fragment[6] = 0x20;
        byte[] later = [.. fragment];
        (later[6], later[7]) = (0, 4);
        byte[] multicast = Packets.Ip("10.1.0.1", "224.0.0.9", IpProtocol.Icmp, [8, 0, 0, 0, 1, 2, 3, 4]);
        byte[] outside = Packets.Udp("10.9.0.1", "10.2.0.1", 8);
        for (byte tunnel = 0; tunnel < _tunnels.Length; tunnel++)
        {
            using var pair = new Pair(_tunnels[tunnel], queueLength: MostDatagrams);
            byte[] captured = pair.Capture(udp);
            yield return [tunnel, .. Datagram(0, captured), .. Datagram(0, captured), .. Datagram(0, [0xFF]), .. Datagram(0, [0, 0, 0, 0, 1, 2, 3, 4, 5])];
            yield return [tunnel, .. Datagram(2, udp), .. Datagram(2 | 4, udp6), .. Datagram(2 | 12, udp), .. Datagram(2, udp)];
            yield return [tunnel, .. Datagram(2, fragment), .. Datagram(2, later), .. Datagram(2, multicast), .. Datagram(2, outside)];
            yield return [tunnel, .. Datagram(1, [.. udp, 1, 2, 3, 4, 5, 6, 6, 4]), .. Datagram(1, [.. udp, .. new byte[12], 0, 4]), .. Datagram(3, [59, 1, 2, 3])];
            yield return [tunnel, .. Numbered(2, 5, udp), .. Numbered(2, 5, udp), .. Numbered(2, 900, udp), .. Numbered(3 | 4, 6, [41, .. udp6])];
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        var reader = new InputReader(input);
        int index = reader.Byte() % _tunnels.Length;
        var tunnel = _open[index] ??= new Tunnel(_tunnels[index], new Pair(_tunnels[index], queueLength: MostDatagrams, poolBatches: 1));
        tunnel.Begin();
        while (!reader.IsAtEnd && tunnel.Datagrams < MostDatagrams)
        {
            byte kind = reader.Byte();
            uint? number = (kind & 16) != 0 ? reader.Number() : null;
            var bytes = reader.Record();
            tunnel.Add(kind & 3, (byte)((kind >> 2) & 3), number, bytes[..Math.Min(bytes.Length, LargestDatagram)]);
        }

        var delivered = tunnel.Deliver(together: true);
        var alone = tunnel.Deliver(together: false);
        Invariant.Holds(delivered.Count == alone.Count, $"{delivered.Count} packets are delivered in one batch, {alone.Count} in batches of their own.");
        for (int i = 0; i < delivered.Count; i++)
        {
            Invariant.Same(alone[i], delivered[i], "A packet in one batch and in a batch of its own");
            CheckDelivered(delivered[i]);
        }
    }

    private static void CheckDelivered(byte[] packet)
    {
        Invariant.Holds(InnerPacketParser.TryParse(packet, out var summary), "What was delivered is no packet.");
        Invariant.Holds(summary.TotalLength == packet.Length, "What was delivered is not a packet alone.");
        Invariant.Holds(
            Array.Exists(_letIn, selector => selector.Source.Contains(summary.Source) && selector.Destination.Contains(summary.Destination)),
            $"From {summary.Source} to {summary.Destination} no policy lets in.");
    }

    private static byte[] Datagram(byte kind, byte[] bytes) => [kind, .. Input.Record(bytes)];

    private static byte[] Numbered(byte kind, uint number, byte[] bytes) => [(byte)(kind | 16), .. Input.Number(number), .. Input.Record(bytes)];

    /// <summary>A pair of hosts, kept; the SA and the pipeline are new for each run.</summary>
    private sealed class Tunnel(TunnelSettings settings, Pair pair)
    {
        private readonly List<(byte[] Bytes, byte Ecn)> _datagrams = [];
        private readonly HashSet<uint> _numbers = [];
        private uint _next;
        private uint _highest;
        private int _raw, _old;

        public int Datagrams => _datagrams.Count;

        public void Begin()
        {
            _datagrams.Clear();
            _numbers.Clear();
            _next = 0;
            _highest = 0;
            (_raw, _old) = (0, 0);
        }

        public void Add(int how, byte ecn, uint? number, ReadOnlySpan<byte> bytes)
        {
            if (how == 0)
            {
                _raw++;
                _datagrams.Add((bytes.ToArray(), ecn));
                return;
            }

            // With extended numbers the half that is not sent must be 0.
            uint sequence = number is not { } given ? ++_next : settings.Esn ? (ushort)given : given;
            _numbers.Add(sequence);

            // RFC 4303 appendix A2: left of the window is taken for the next 2^32 numbers, with which it fails.
            _old += settings.Esn && sequence + settings.Window <= _highest ? 1 : 0;
            _highest = Math.Max(_highest, sequence);
            _datagrams.Add((Seal(how, sequence, bytes), ecn));
        }

        /// <summary>Lets all arrive and checks what is counted. Returns what was delivered.</summary>
        public List<byte[]> Deliver(bool together)
        {
            var host = pair.Right;
            var association = Renew(host);
            var counters = new WorkerCounters("inbound");
            var pipeline = new InboundPipeline(host.Environment, counters);
            host.Tunnel.Written.Clear();
            var socket = pair.RightSocket;
            foreach (var (bytes, ecn) in _datagrams)
            {
                pair.Enqueue(bytes, trafficClass: ecn);
                if (!together)
                {
                    Process(host, pipeline, socket);
                }
            }

            Process(host, pipeline, socket);
            CheckCounters(counters, association, host.Tunnel.Written.Count);
            host.TakeEvents();
            return [.. host.Tunnel.Written];
        }

        private static void Process(TestHost host, InboundPipeline pipeline, TestOuterSocket socket)
        {
            var batch = host.Pool.Get();
            while (socket.Receive(batch) > 0)
            {
                pipeline.Process(batch, socket);
            }

            host.Pool.Return(batch);
        }

        private void CheckCounters(WorkerCounters counters, SecurityAssociation association, int written)
        {
            long drops = 0;
            for (var reason = DropReason.None + 1; reason < DropReason.Count; reason++)
            {
                drops += counters.Read(reason);
            }

            long delivered = counters.Read(TrafficCounter.InboundPackets);
            Invariant.Holds(counters.Read(DropReason.None) == 0, "A packet was dropped for no reason.");
            Invariant.Holds(counters.Read(TrafficCounter.OuterPacketsRead) == _datagrams.Count, "Not each datagram was read.");
            Invariant.Holds(
                delivered + counters.Read(TrafficCounter.Keepalives) + drops == _datagrams.Count,
                $"Of {_datagrams.Count} datagrams {delivered} were delivered and {drops} counted as dropped.");
            Invariant.Holds(delivered == written, "What is counted as delivered is not what was delivered.");
            Invariant.Holds(delivered <= _numbers.Count + _raw, "A number was delivered twice.");
            Invariant.Holds(counters.Read(DropReason.InboundIntegrityFailure) <= _raw + _old, "What was sealed with the key failed integrity.");
            Invariant.Holds(counters.Read(DropReason.InboundIntegrityFailure) == (long)association.IntegrityFailures, "The SA counted other failures of integrity.");
            Invariant.Holds((long)association.Usage.Packets >= delivered, "The SA counted less than was delivered.");
        }

        private SecurityAssociation Renew(TestHost host)
        {
            using (host.Database.Freeze())
            {
                host.Database.Sad.Remove(pair.RightIn);
            }

            return Pair.Add(host, settings, Pair.LeftToRight, pair.LeftOuter, pair.RightOuter);
        }

        private byte[] Seal(int how, uint sequence, ReadOnlySpan<byte> bytes)
        {
            if (how == 1)
            {
                int align = pair.RightIn.Transform!.Geometry.Alignment;
                byte[] plaintext = new byte[Math.Max(align, bytes.Length / align * align)];
                bytes[..Math.Min(bytes.Length, plaintext.Length)].CopyTo(plaintext);
                return Forge.SealRaw(settings.Suite, Pair.LeftToRight, sequence, plaintext, settings.Esn);
            }

            byte next = EspNextHeader.IPv4;
            if (how == 3)
            {
                next = bytes.IsEmpty ? (byte)0 : bytes[0];
                bytes = bytes.IsEmpty ? bytes : bytes[1..];
            }
            else if (!bytes.IsEmpty && bytes[0] >> 4 == 6)
            {
                next = EspNextHeader.IPv6;
            }

            return Forge.Seal(settings.Suite, Pair.LeftToRight, sequence, bytes.ToArray(), next, settings.Esn);
        }
    }
}
