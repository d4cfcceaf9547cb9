using System.Runtime.InteropServices;
using System.Text;
using Espalier.Io;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Client;

/// <summary>
/// NLMSG_ERROR as a client reads it (struct nlmsgerr): an errno, 0 for an acknowledgement; the header of the request and, unless capped, the rest of it; attributes
/// of the extended acknowledgement.
/// </summary>
internal static class ErrorAnswer
{
    private const int FixedPart = NetlinkHeader.Size + sizeof(int) + NetlinkHeader.Size;

    /// <summary>Throws what the answer says, unless it is an acknowledgement.</summary>
    /// <exception cref="XfrmException">An error.</exception>
    /// <exception cref="DeviceException">It is too short.</exception>
    public static void ThrowIfError(ReadOnlySpan<byte> message, in NetlinkHeader header)
    {
        if (message.Length < FixedPart)
        {
            throw XfrmClient.Malformed();
        }

        int error = -MemoryMarshal.Read<int>(message[NetlinkHeader.Size..]);
        if (error != 0)
        {
            var text = Attribute(message, header, Netlink.ErrorText);
            throw new XfrmException(error, text.IsEmpty ? null : Encoding.UTF8.GetString(text.TrimEnd((byte)0)));
        }
    }

    /// <summary>An attribute, empty where it is not there. The message is as long as <see cref="ThrowIfError"/> wants it.</summary>
    public static ReadOnlySpan<byte> Attribute(ReadOnlySpan<byte> message, in NetlinkHeader header, ushort type)
    {
        if ((header.Flags & Netlink.AckAttributes) == 0)
        {
            return [];
        }

        var request = MemoryMarshal.Read<NetlinkHeader>(message[(NetlinkHeader.Size + sizeof(int))..]);
        int offset = FixedPart + ((header.Flags & Netlink.Capped) != 0 ? 0 : Netlink.Align((int)request.Length) - NetlinkHeader.Size);
        while (offset >= 0 && offset + NetlinkAttributeHeader.Size <= message.Length)
        {
            var attribute = MemoryMarshal.Read<NetlinkAttributeHeader>(message[offset..]);
            if (attribute.Length < NetlinkAttributeHeader.Size || offset + attribute.Length > message.Length)
            {
                break;
            }

            if (attribute.Type == type)
            {
                return message.Slice(offset + NetlinkAttributeHeader.Size, attribute.Length - NetlinkAttributeHeader.Size);
            }

            offset += Netlink.Align(attribute.Length);
        }

        return [];
    }
}
