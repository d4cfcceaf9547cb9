using Espalier.Wire.Packets;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>libipsec's ip_packet_t: the bytes of an inner packet, and both ends as objects of their own.</summary>
internal sealed class IpPacket
{
    private readonly byte[] _bytes;
    private readonly int _length;

    private IpPacket(byte[] bytes, in PacketSummary summary)
    {
        _bytes = bytes;
        _length = summary.TotalLength;
        Protocol = summary.Protocol;
        Source = new HostAddress(summary.Source, summary.SourcePort);
        Destination = new HostAddress(summary.Destination, summary.DestinationPort);
    }

    internal HostAddress Source { get; }

    internal HostAddress Destination { get; }

    internal byte Protocol { get; }

    internal ReadOnlySpan<byte> Encoding => _bytes.AsSpan(0, _length);

    /// <summary>Takes over the bytes. Null: no IP packet, dropped.</summary>
    internal static IpPacket? Create(byte[] bytes) =>
        InnerPacketParser.TryParse(bytes, out var summary) ? new IpPacket(bytes, summary) : null;
}
