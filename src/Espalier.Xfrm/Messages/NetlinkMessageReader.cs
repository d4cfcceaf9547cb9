using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>
/// Walks over the messages of one datagram as the kernel's netlink_rcv_skb does: a message that is shorter than its header or longer than
/// the rest of the datagram ends the walk (<see cref="Malformed"/>), the next one starts at the next multiple of 4.
/// </summary>
internal ref struct NetlinkMessageReader
{
    private ReadOnlySpan<byte> _rest;

    public NetlinkMessageReader(ReadOnlySpan<byte> datagram)
    {
        _rest = datagram;
        Message = default;
        Header = default;
    }

    /// <summary>The current message, header included.</summary>
    public ReadOnlySpan<byte> Message { get; private set; }

    /// <summary>Its header.</summary>
    public NetlinkHeader Header { get; private set; }

    /// <summary>True after <see cref="MoveNext"/> returned false because of bytes that are no message.</summary>
    public bool Malformed { get; private set; }

    /// <summary>What follows the header of the current message.</summary>
    public readonly ReadOnlySpan<byte> Payload => Message[NetlinkHeader.Size..];

    /// <summary>Goes to the next message; false at the end or at a malformed one.</summary>
    public bool MoveNext()
    {
        if (_rest.Length < NetlinkHeader.Size)
        {
            Malformed = _rest.Length > 0;
            return false;
        }

        Header = MemoryMarshal.Read<NetlinkHeader>(_rest);
        if (Header.Length < NetlinkHeader.Size || Header.Length > _rest.Length)
        {
            Malformed = true;
            return false;
        }

        int length = (int)Header.Length;
        Message = _rest[..length];
        _rest = _rest[Math.Min(Netlink.Align(length), _rest.Length)..];
        return true;
    }
}
