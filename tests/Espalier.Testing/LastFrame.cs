using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Xunit;

namespace Espalier.Testing;

/// <summary>An Ethernet frame of a protocol that is nobody's (IEEE 802, local experimental), sent past all routing: what was on a link before it is before it in a capture.</summary>
internal sealed class LastFrame : EndPoint
{
    private const int Length = 20, ProtocolOffset = 2, IndexOffset = 4, LocalExperimental = 0x88b5;

    private readonly int _interface;

    private LastFrame(int @interface) => _interface = @interface;

    /// <summary>Sends one out of a link, and returns its bytes.</summary>
    public static byte[] Send(NetworkNamespace host, string link)
    {
        byte[] frame = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, LocalExperimental >> 8, LocalExperimental & 0xff, .. RandomNumberGenerator.GetBytes(46)];
        int index = int.Parse(host.Ip($"-o link show dev {link}").Split(':')[0], System.Globalization.CultureInfo.InvariantCulture);
        host.Run(() =>
        {
            using var socket = new Socket(AddressFamily.Packet, SocketType.Raw, 0);
            Assert.Equal(frame.Length, socket.SendTo(frame, new LastFrame(index)));
        });
        return frame;
    }

    /// <summary>struct sockaddr_ll: family, protocol, interface.</summary>
    public override SocketAddress Serialize()
    {
        var address = new SocketAddress(AddressFamily.Packet, Length);
        BinaryPrimitives.WriteUInt16BigEndian(address.Buffer.Span[ProtocolOffset..], LocalExperimental);
        BinaryPrimitives.WriteInt32LittleEndian(address.Buffer.Span[IndexOffset..], _interface);
        return address;
    }
}
