using System.Buffers.Binary;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Fuzz.Targets;

/// <summary>
/// What an ICMP error says of a packet that we may have sent:
/// <code>
///   flags (1) │ ICMP type (1) │ code (1) │ MTU (4) │ port (2) │ length (2) │ control messages of the error queue │ quote
///   flags: bit 0 protocol 50, bit 1 to an IKE daemon's port, bit 2 raised here, bit 3 from the control messages, bit 4 over IPv6
/// </code>
/// A quote says the same of itself however much of it there is. Each error is counted once; a path MTU is learnt from one only if it quotes a number
/// that our SA sent to that peer, and never below the floor. No error is about an error, a multicast source, a later fragment.
/// </summary>
internal sealed class QuotedEspTarget : FuzzTarget
{
    private const uint LastSent = 1000;
    private const int DefaultMtu = 1500;

    private readonly Pair?[] _pairs = new Pair?[4];

    public override string Name => "quoted-esp";

    public override IEnumerable<byte[]> Seeds()
    {
        byte[] esp = [0, 0, 0x10, 0, 0, 0, 0, 5, 1, 2, 3, 4];
        byte[] udp = [0x11, 0x94, 0x11, 0x94, 0, 20, 0, 0, .. esp];
        byte[] chain = Packets.Ip("2001:db8::1", "2001:db8::2", IpProtocol.DestinationOptions, [50, 0, 1, 4, 0, 0, 0, 0, .. esp]);
        byte[] icmp = Packets.Ip("10.1.0.1", "10.2.0.1", IpProtocol.Icmp, [3, 4, 0, 0, 0, 0, 5, 0]);
        byte[][] quotes =
        [
            esp, Packets.Ip("192.0.2.1", "192.0.2.2", IpProtocol.Esp, esp), Packets.Ip("192.0.2.1", "192.0.2.2", IpProtocol.Udp, udp), chain,
            Packets.Ip("2001:db8::1", "2001:db8::2", IpProtocol.Udp, udp), icmp, [0, 0, 0, 0, 1, 2, 3, 4],
        ];
        byte[] control = [36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 90, 0, 0, 0, 2, 3, 4, 0, 0xB0, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        foreach (byte[] quote in quotes)
        {
            foreach (byte flags in new byte[] { 0, 1, 2, 4, 8, 16, 17 })
            {
                byte[] type = (flags & 16) != 0 ? [2, 0] : [3, 4];
                yield return [flags, .. type, .. Input.Number(1300), .. Input.Word((flags & 1) != 0 ? 0 : 4500), .. Input.Record(flags == 8 ? control : []), .. quote];
            }
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        var reader = new InputReader(input);
        byte flags = reader.Byte();
        byte type = reader.Byte(), code = reader.Byte();
        uint mtu = reader.Number();
        ushort port = reader.Word();
        byte[] control = reader.Record().ToArray();
        byte[] quote = reader.Rest().ToArray();
        CheckQuote(quote);
        CheckRules(quote);
        bool isIPv6 = (flags & 16) != 0;
        var remote = InternetAddress.Parse(isIPv6 ? "2001:db8::2" : "192.0.2.2");
        var error = new OuterError(remote, port, 0, type, code, (int)(mtu & int.MaxValue), 90, (flags & 4) != 0);
        if ((flags & 8) != 0)
        {
            if (!TryDescribe(control, out var described))
            {
                return;
            }

            Invariant.Holds(described.PathMtu >= 0, "A path MTU is negative.");
            error = described with { Remote = remote, RemotePort = port };
        }

        int which = (flags & 1) | (isIPv6 ? 2 : 0);
        var pair = _pairs[which] ??= new Pair(new TunnelSettings { Udp = (flags & 1) == 0, OuterIPv6 = isIPv6 }, queueLength: 4, poolBatches: 1);
        CheckReader(pair, error, quote, (flags & 2) != 0);
    }

    private static void CheckQuote(byte[] quote)
    {
        bool isEsp = QuotedEspPacket.TryParseEsp(quote, out var esp);
        Invariant.Holds(isEsp == (quote.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(quote) != 0), "What is ESP and what is not is confused.");
        bool parses = QuotedEspPacket.TryParse(quote, out var quoted);
        Invariant.Holds(!parses || quoted.Spi != 0, "SPI 0 is quoted.");
        Invariant.Holds(isEsp == (esp.Spi != 0), "SPI 0 is ESP.");
        bool before = false;
        for (int length = 0; length < Math.Min(quote.Length, 160); length++)
        {
            bool some = QuotedEspPacket.TryParse(quote.AsSpan(0, length), out var less);
            Invariant.Holds(some || !before, "More of a quote is no quote.");
            Invariant.Holds(
                !some || (parses && less with { Sequence = null } == quoted with { Sequence = null } && (less.Sequence is null || less.Sequence == quoted.Sequence)),
                "Less of a quote says otherwise.");
            before = some;
        }

        if (InnerPacketParser.TryParse(quote, out var summary) && summary is { Protocol: IpProtocol.Esp, IsLaterFragment: false } && summary.TotalLength >= summary.HeaderLength + 4)
        {
            uint spi = BinaryPrimitives.ReadUInt32BigEndian(quote.AsSpan(summary.HeaderLength));
            Invariant.Holds(
                parses == (spi != 0) && (!parses || (quoted.Spi == spi && quoted.Source == summary.Source && quoted.Destination == summary.Destination)),
                "A whole packet of ESP is not read as a quote of it.");
        }
    }

    private static void CheckRules(byte[] packet)
    {
        if (!InnerPacketParser.TryParse(packet, out var summary))
        {
            return;
        }

        if (!IcmpErrorRules.MayReportTooBig(summary))
        {
            return;
        }

        bool isIPv4 = summary.Version == IpVersion.IPv4;
        byte first = isIPv4 ? packet[12] : packet[8];
        Invariant.Holds(isIPv4 ? first is not (0 or 127 or >= 224) : first != 0xFF && summary.Source.Bits > 1, "The source is no single host.");
        if (isIPv4)
        {
            Invariant.Holds(!summary.IsLaterFragment && packet[16] >> 4 != 14, "About a later fragment, or to a group.");
            Invariant.Holds(summary.Protocol != 1 || packet[summary.HeaderLength] is not (3 or 4 or 5 or 11 or 12), "About an ICMP error.");
        }
        else if (summary.Protocol == 58 && !summary.IsLaterFragment)
        {
            Invariant.Holds(packet[summary.HeaderLength] is >= 128 and not 137, "About an ICMPv6 error.");
        }
    }

    private static void CheckReader(Pair pair, in OuterError error, byte[] quote, bool relays)
    {
        var host = pair.Left;
        pair.LeftOut.OutboundSequence = LastSent;
        var socket = pair.LeftSocket;
        var counters = new WorkerCounters("errors");
        var relay = relays ? new RecordingRelay() : null;
        var local = new LocalPathMtu();
        host.TakeEvents();
        socket.QueueError(error, quote);
        new OuterErrorReader(host.Database, local, counters, DefaultMtu, relay).Drain(socket);

        long learnt = counters.Read(TrafficCounter.PathMtuLearnt), ignored = counters.Read(TrafficCounter.IcmpErrorsIgnored);
        long relayed = counters.Read(TrafficCounter.IkeErrorsRelayed);
        Invariant.Holds(learnt + ignored + relayed + (error.IsLocal ? 1 : 0) == 1, "An error was counted not once.");
        var events = host.TakeEvents();
        Invariant.Holds(events.Length == learnt, "An event without a path MTU, or the reverse.");
        if (learnt == 0)
        {
            return;
        }

        bool tooBig = socket.Version == IpVersion.IPv6 ? error is { IcmpType: 2, IcmpCode: 0 } : error is { IcmpType: 3, IcmpCode: 4 };
        bool ours = quote.Length >= 8 && BinaryPrimitives.ReadUInt32BigEndian(quote) == Pair.LeftToRight
            && BinaryPrimitives.ReadUInt32BigEndian(quote.AsSpan(4)) is > 0 and <= LastSent
            && (socket.LocalPort == 0 || error.RemotePort == socket.LocalPort);
        int floor = socket.Version == IpVersion.IPv6 ? PathMtuRules.FloorIPv6 : PathMtuRules.FloorIPv4;
        Invariant.Holds(tooBig && ours, "A path MTU was learnt from an error about nothing that we sent.");
        Invariant.Holds(events[0].Kind == IpsecEventKind.PathMtu && events[0].PathMtu >= floor && events[0].PathMtu < DefaultMtu, "A path MTU is out of bounds.");
    }

    private static unsafe bool TryDescribe(byte[] control, out OuterError error)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        new Span<byte>(name, SocketAddress.Capacity).Clear();
        fixed (byte* data = control)
        {
            msghdr header = new() { msg_name = name, msg_namelen = SocketAddress.Capacity, msg_control = data, msg_controllen = (nuint)control.Length };
            return ErrorQueue.TryDescribe(&header, 0, out error);
        }
    }
}
