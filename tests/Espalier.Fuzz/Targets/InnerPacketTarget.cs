using Espalier.DataPlane.Tests.Harness;
using Espalier.Wire.Addresses;
using Espalier.Wire.Fragmentation;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Fuzz.Targets;

/// <summary>
/// Two packets, read as inner packets one after the other; the first is cut and reported as too large:
/// <code>  MTU (2) │ length (2) │ first packet │ second packet  </code>
/// FlowParser reads what InnerPacketParser reads, and says that two packets are of one flow only where they are. What stands behind a packet makes no
/// difference. Fragments fit, are as many as announced, carry right checksums, and put together are the packet. ICMP errors quote the packet, keep their
/// bounds, have right checksums, and must not be answered by errors.
/// </summary>
internal sealed class InnerPacketTarget : FuzzTarget
{
    private static readonly InternetAddress _router4 = InternetAddress.Parse("192.0.2.1"), _router6 = InternetAddress.Parse("2001:db8::1");

    public override string Name => "inner-packet";

    public override IEnumerable<byte[]> Seeds()
    {
        byte[] udp = Packets.Udp("10.1.0.1", "10.2.0.1", 100, dontFragment: false);
        byte[] udp6 = Packets.Udp("fd01::1", "fd02::1", 40);
        byte[] options = [0x47, .. udp[1..20], 0x94, 4, 0, 0, 1, 1, 1, 0, .. udp[20..]];
        options[3] = (byte)options.Length;
        byte[] extension = Packets.Ip("fd01::1", "fd02::1", IpProtocol.HopByHopOptions, [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9, .. udp6[40..]]);
        byte[] gre = Packets.Ip("10.1.0.1", "10.2.0.1", IpProtocol.Gre, [0xA0, 0, 8, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
        byte[] echo = Packets.Ip("10.1.0.1", "10.2.0.1", IpProtocol.Icmp, [8, 0, 0, 0, 0, 1, 0, 1]);
        byte[] error6 = Packets.Ip("fd01::1", "fd02::1", IpProtocol.IcmpV6, [2, 0, 0, 0, 0, 0, 5, 0, .. udp6]);
        byte[] mobility = Packets.Ip("fd01::1", "fd02::1", IpProtocol.MobilityHeader, [59, 0, 5, 0, 0, 0, 0, 0]);
        byte[] tcp = Packets.Ip("10.1.0.1", "10.2.0.1", IpProtocol.Tcp, [.. new byte[12], 0x50, 0x10, .. new byte[6]]);
        foreach (var (mtu, first, second) in new[]
        {
            (60, udp, udp), (68, options, udp), (1500, udp6, udp6), (1280, extension, udp6), (576, gre, gre), (28, echo, tcp), (1400, error6, mobility), (44, tcp, tcp),
        })
        {
            yield return [.. Input.Word(mtu), .. Input.Record(first), .. second];
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        var reader = new InputReader(input);
        int mtu = reader.Word();
        var first = reader.Record();
        var second = reader.Rest();
        var parser = new FlowParser();
        CheckParsers(parser, first, first);
        CheckParsers(parser, second, first);
        CheckParsers(parser, second, second);
        CheckParsers(parser, first, second);
        CheckFragments(first, mtu);
        CheckErrors(first, mtu);
    }

    private static void CheckParsers(FlowParser parser, ReadOnlySpan<byte> packet, ReadOnlySpan<byte> before)
    {
        bool parses = InnerPacketParser.TryParse(packet, out var summary);
        Invariant.Holds(parser.TryParse(packet) == parses, "FlowParser and InnerPacketParser do not agree that it is a packet.");
        if (!parses)
        {
            return;
        }

        Invariant.Holds(
            summary.HeaderLength is >= 20 && summary.HeaderLength <= summary.TotalLength && summary.TotalLength <= packet.Length, "The lengths contradict each other.");
        Invariant.Holds(Fields(summary) == Fields(parser.Summary), "FlowParser read other fields than InnerPacketParser.");
        Invariant.Holds(
            InnerPacketParser.TryParse(packet[..summary.TotalLength], out var alone) && Fields(summary) == Fields(alone), "What stands behind a packet makes a difference.");
        if (parser.IsSameFlow)
        {
            Invariant.Holds(InnerPacketParser.TryParse(before, out var earlier), "Of the flow of what is no packet.");
            Invariant.Holds(Flow(earlier) == Flow(summary) && !summary.IsFragment && summary.PortsKnown, "Not of the flow of the packet before.");
        }
    }

    private static ((InternetAddress, InternetAddress, ushort, ushort, byte) Flow, (uint, int, int, IpVersion) Lengths, (byte, byte) Bytes, (bool, bool, bool, bool, bool) Flags)
        Fields(in PacketSummary s) => (
            Flow(s), (s.FragmentId, s.TotalLength, s.HeaderLength, s.Version), (s.TrafficClass, s.TimeToLive),
            (s.DontFragment, s.IsFragment, s.IsFirstFragment, s.PortsKnown, s.ProtocolKnown));

    private static (InternetAddress, InternetAddress, ushort, ushort, byte) Flow(in PacketSummary s) =>
        (s.Source, s.Destination, s.SourcePort, s.DestinationPort, s.Protocol);

    private static void CheckFragments(ReadOnlySpan<byte> bytes, int mtu)
    {
        if (!IPv4Fragmenter.TryCreate(bytes, mtu, out var fragmenter))
        {
            return;
        }

        Invariant.Holds(IPv4Packet.TryParse(bytes, out var packet), "What is no packet is cut.");
        bool whole = packet.TotalLength <= mtu;
        int expected = fragmenter.Count, written = 0, position = 0;
        byte[] payload = new byte[packet.Payload.Length];
        byte[] buffer = new byte[Math.Min(mtu, packet.TotalLength)];
        bool last = false;
        while (fragmenter.TryWriteNext(buffer, out int length))
        {
            written++;
            Invariant.Holds(!last, "A piece comes behind the last.");
            Invariant.Holds(IPv4Packet.TryParse(buffer.AsSpan(0, length), out var piece) && piece.TotalLength == length, "A piece is no packet.");
            Invariant.Holds(length <= mtu, "A piece does not fit.");
            Invariant.Holds(whole || piece.HasValidChecksum, "A piece has a wrong checksum.");
            Invariant.Holds(piece.FragmentOffset == packet.FragmentOffset + position, "A piece is at another place.");
            Invariant.Holds(
                piece.Source == packet.Source && piece.Destination == packet.Destination && piece.Protocol == packet.Protocol
                && piece.Identification == packet.Identification && piece.TimeToLive == packet.TimeToLive && piece.TrafficClass == packet.TrafficClass, "A piece is of another packet.");
            piece.Payload.CopyTo(payload.AsSpan(position));
            position += piece.Payload.Length;
            last = position == payload.Length;
            Invariant.Holds(last ? piece.MoreFragments == packet.MoreFragments : piece.MoreFragments, "MF is wrong.");
            Invariant.Holds(last || piece.Payload.Length % 8 == 0, "A piece but the last is no multiple of 8.");
        }

        Invariant.Holds(written == expected, $"{expected} pieces were announced, {written} came.");
        Invariant.Same(packet.Payload, payload, "The pieces");
    }

    private static void CheckErrors(ReadOnlySpan<byte> offending, int mtu)
    {
        byte[] message = new byte[IcmpErrorMessage.MaximumLength];
        int length = IcmpErrorMessage.WriteFragmentationNeeded(message, offending, mtu);
        Invariant.Holds(length + IPv4Packet.MinimumHeaderLength <= IcmpErrorMessage.LargestIPv4Error, "The ICMP error is too long.");
        Invariant.Holds(IcmpMessage.TryParse(message.AsSpan(0, length), out var error) && error is { Type: 3, Code: 4, HasValidChecksum: true }, "The ICMP error is wrong.");
        Invariant.Holds(error.NextHopMtu == Math.Max(mtu, IcmpErrorMessage.SmallestIPv4Mtu), "The ICMP error tells another MTU.");
        CheckQuote(error.Data, offending);
        CheckNotAnswered(Wrap(message.AsSpan(0, length), _router4, IpProtocol.Icmp));

        length = IcmpErrorMessage.WritePacketTooBig(message, offending, mtu);
        var tooBig = message.AsSpan(0, length);
        IcmpErrorMessage.WriteIPv6Checksum(tooBig, _router6, _router6);
        Invariant.Holds(length + IPv6Packet.FixedHeaderLength <= IcmpErrorMessage.LargestIPv6Error, "The ICMPv6 error is too long.");
        Invariant.Holds(
            IcmpMessage.TryParse(tooBig, out error) && error is { Type: 2, Code: 0 } && error.HasValidChecksumFor(_router6, _router6), "The ICMPv6 error is wrong.");
        Invariant.Holds(error.PacketTooBigMtu == Math.Max(mtu, IPv6Packet.MinimumMtu), "The ICMPv6 error tells another MTU.");
        CheckQuote(error.Data, offending);
        CheckNotAnswered(Wrap(tooBig, _router6, IpProtocol.IcmpV6));

        IcmpErrorMessage.WriteAround(tooBig, _router4, _router4, 11, 0, mtu);
        Invariant.Holds(IcmpMessage.TryParse(tooBig, out error) && error is { Type: 11, HasValidChecksum: true }, "The error that is passed on is wrong.");
        CheckQuote(error.Data, offending);
    }

    private static void CheckQuote(ReadOnlySpan<byte> quote, ReadOnlySpan<byte> offending) =>
        Invariant.Same(offending[..Math.Min(quote.Length, offending.Length)], quote, "The quote");

    private static void CheckNotAnswered(byte[] packet)
    {
        Invariant.Holds(InnerPacketParser.TryParse(packet, out var summary), "Our error is no packet.");
        Invariant.Holds(!IcmpErrorRules.MayReportTooBig(summary), "An error is answered by an error.");
    }

    private static byte[] Wrap(ReadOnlySpan<byte> message, InternetAddress router, byte protocol)
    {
        int header = router.Version == IpVersion.IPv6 ? IPv6Packet.FixedHeaderLength : IPv4Packet.MinimumHeaderLength;
        byte[] packet = new byte[header + message.Length];
        PacketWriter.WriteIp(packet, router, router, protocol, message.Length);
        message.CopyTo(packet.AsSpan(header));
        return packet;
    }
}
