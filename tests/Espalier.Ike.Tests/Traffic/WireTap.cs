using System.Buffers.Binary;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>What went over a link: captured whole, sorted when asked.</summary>
internal sealed class WireTap : IDisposable
{
    private readonly PacketCapture _capture;

    /// <summary>Starts to capture.</summary>
    public WireTap(NetworkNamespace host, string link) => _capture = new PacketCapture(host, link, "not arp");

    /// <summary>Stops and sorts what was captured.</summary>
    public Sorted Finish()
    {
        var sorted = new Sorted();
        foreach (byte[] frame in _capture.FinishBehindAll())
        {
            sorted.Add(frame);
        }

        return sorted;
    }

    /// <inheritdoc/>
    public void Dispose() => _capture.Dispose();

    /// <summary>Frames by what they are.</summary>
    internal sealed class Sorted
    {
        /// <summary>IP protocol 50.</summary>
        public int RawEsp { get; private set; }

        /// <summary>ESP in UDP port 4500.</summary>
        public int UdpEsp { get; private set; }

        /// <summary>IKE on port 500 or 4500.</summary>
        public int Ike { get; private set; }

        /// <summary>What else there was, neighbour discovery aside.</summary>
        public List<string> Clear { get; } = [];

        /// <summary>Frames in which the marker of <see cref="TcpTransfer"/> stands.</summary>
        public int Readable { get; private set; }

        /// <summary>ESP and nothing that should have been in it.</summary>
        public void ExpectProtected(bool udp, bool readable = false)
        {
            Assert.True((udp ? UdpEsp : RawEsp) > 0, "no ESP on the wire");
            Assert.Equal(0, udp ? RawEsp : UdpEsp);
            Assert.True(Clear.Count == 0, $"{Clear.Count} packets in clear: {string.Join(", ", Clear.Take(5))}");
            Assert.Equal(readable, Readable > 0);
        }

        /// <summary>Adds an Ethernet frame.</summary>
        public void Add(byte[] frame)
        {
            Readable += frame.AsSpan().IndexOf(TcpTransfer.Marker) >= 0 ? 1 : 0;
            var packet = frame.AsSpan(14);
            bool ipv6 = packet[0] >> 4 == 6;
            int protocol = ipv6 ? packet[6] : packet[9];
            var payload = packet[(ipv6 ? 40 : (packet[0] & 15) * 4)..];
            if (ipv6 && protocol is 0 or 58 && IsNeighbourDiscovery(protocol, payload))
            {
                return;
            }

            if (protocol == 50 || IsLaterFragment(packet, ipv6))
            {
                RawEsp += protocol == 50 ? 1 : 0;
                return;
            }

            int[] ports = protocol == 17 ? [BinaryPrimitives.ReadUInt16BigEndian(payload), BinaryPrimitives.ReadUInt16BigEndian(payload[2..])] : [];
            if (ports.Contains(500))
            {
                Ike++;
            }
            else if (ports.Contains(4500))
            {
                // RFC 3948 §2: four zero bytes stand before IKE, one byte 0xff alone keeps a NAT's mapping.
                var inUdp = payload[8..];
                Ike += inUdp.Length > 4 && BinaryPrimitives.ReadUInt32BigEndian(inUdp) == 0 ? 1 : 0;
                UdpEsp += inUdp.Length > 4 && BinaryPrimitives.ReadUInt32BigEndian(inUdp) != 0 ? 1 : 0;
            }
            else
            {
                Clear.Add($"protocol {protocol}, {Convert.ToHexString(packet[..Math.Min(packet.Length, 48)])}");
            }
        }

        // Types 133 to 137 and 130 to 132, 143 (MLD, behind a hop-by-hop header).
        private static bool IsNeighbourDiscovery(int protocol, ReadOnlySpan<byte> payload) =>
            protocol == 0 ? payload[0] == 58 : payload[0] is >= 130 and <= 137 or 143;

        private static bool IsLaterFragment(ReadOnlySpan<byte> packet, bool ipv6) =>
            !ipv6 && (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x1fff) != 0;
    }
}
