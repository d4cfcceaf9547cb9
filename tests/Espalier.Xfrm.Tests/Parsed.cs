using System.Runtime.InteropServices;
using System.Text;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests;

/// <summary>A netlink message taken apart, for assertions.</summary>
internal sealed record Parsed(ushort Type, ushort Flags, uint Sequence, byte[] Payload)
{
    public int Errno => -BitConverter.ToInt32(Payload);

    public string? Text => ErrorAttributes().Where(attribute => attribute.Type == Netlink.ErrorText)
        .Select(attribute => Encoding.UTF8.GetString(attribute.Value).TrimEnd('\0')).FirstOrDefault();

    public static List<Parsed> All(params IEnumerable<byte[]> datagrams)
    {
        var all = new List<Parsed>();
        foreach (byte[] datagram in datagrams)
        {
            var reader = new NetlinkMessageReader(datagram);
            while (reader.MoveNext())
            {
                all.Add(new Parsed(reader.Header.Type, reader.Header.Flags, reader.Header.Sequence, reader.Payload.ToArray()));
            }

            Assert.False(reader.Malformed);
        }

        return all;
    }

    public T Body<T>()
        where T : unmanaged => MemoryMarshal.Read<T>(Payload);

    public List<(ushort Type, byte[] Value)> Attributes(int headerLength) => AttributesAt(Netlink.Align(headerLength));

    public List<(ushort Type, byte[] Value)> ErrorAttributes()
    {
        if ((Flags & Netlink.AckAttributes) == 0)
        {
            return [];
        }

        uint quoted = BitConverter.ToUInt32(Payload, 4);
        return AttributesAt(4 + ((Flags & Netlink.Capped) != 0 ? NetlinkHeader.Size : Netlink.Align((int)quoted)));
    }

    private List<(ushort Type, byte[] Value)> AttributesAt(int offset)
    {
        var list = new List<(ushort, byte[])>();
        while (offset + 4 <= Payload.Length)
        {
            ushort length = BitConverter.ToUInt16(Payload, offset);
            Assert.InRange(length, 4, Payload.Length - offset);
            list.Add((BitConverter.ToUInt16(Payload, offset + 2), Payload[(offset + 4)..(offset + length)]));
            offset += Netlink.Align(length);
        }

        return list;
    }
}
