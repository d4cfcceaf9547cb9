using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Packets;

/// <summary>
/// A view of an ICMP (RFC 792) or ICMPv6 (RFC 4443 §2.1) message. <see cref="TryParse"/> validates once; after it no accessor can fail.
/// Numbers are in network byte order on the wire, and given in host byte order.
/// <code>
/// |     Type      |     Code      |           Checksum            |
/// |                    depends on type and code                   |
/// |  echo: data; error: the packet it is about, as far as it fits |
/// </code>
/// </summary>
public readonly ref struct IcmpMessage
{
    /// <summary>Bytes before the data or the quoted packet.</summary>
    public const int HeaderLength = 8;

    private readonly ReadOnlySpan<byte> _message;

    private IcmpMessage(ReadOnlySpan<byte> message) => _message = message;

    /// <summary>False where the eight bytes of the header are cut off. The whole span is the message.</summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out IcmpMessage message)
    {
        message = default;
        if (buffer.Length < HeaderLength)
        {
            return false;
        }

        message = new IcmpMessage(buffer);
        return true;
    }

    /// <summary>Type.</summary>
    public byte Type => _message[0];

    /// <summary>Code.</summary>
    public byte Code => _message[1];

    /// <summary>Checksum.</summary>
    public ushort Checksum => BinaryPrimitives.ReadUInt16BigEndian(_message[2..]);

    /// <summary>Echo: identifier.</summary>
    public ushort Identifier => BinaryPrimitives.ReadUInt16BigEndian(_message[4..]);

    /// <summary>Echo: sequence number.</summary>
    public ushort SequenceNumber => BinaryPrimitives.ReadUInt16BigEndian(_message[6..]);

    /// <summary>ICMP fragmentation needed: next-hop MTU in bytes (RFC 1191 §4). 0 comes from routers that do not know the field.</summary>
    public ushort NextHopMtu => BinaryPrimitives.ReadUInt16BigEndian(_message[6..]);

    /// <summary>ICMPv6 Packet Too Big: MTU (RFC 4443 §3.2).</summary>
    public uint PacketTooBigMtu => BinaryPrimitives.ReadUInt32BigEndian(_message[4..]);

    /// <summary>Echo data, or the quoted packet of an error.</summary>
    public ReadOnlySpan<byte> Data => _message[HeaderLength..];

    /// <summary>True where the checksum of an ICMP message (IPv4) is right.</summary>
    public bool HasValidChecksum => InternetChecksum.IsValid(_message);

    /// <summary>True where the checksum of an ICMPv6 message is right for these addresses (RFC 4443 §2.3).</summary>
    public bool HasValidChecksumFor(InternetAddress source, InternetAddress destination) =>
        InternetChecksum.Fold(InternetChecksum.Sum(
            _message, InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.IcmpV6, _message.Length))) == 0xFFFF;
}
