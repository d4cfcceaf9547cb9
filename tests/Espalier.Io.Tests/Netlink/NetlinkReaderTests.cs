using System.Runtime.InteropServices;
using CsCheck;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Netlink;

public sealed class NetlinkReaderTests
{
    [Fact]
    public void Writer_MessagesWithAttributes_AreReadBack()
    {
        var writer = new NetlinkWriter(16);
        for (ushort i = 1; i <= 3; i++)
        {
            writer.Begin((ushort)(20 + i), 0, 5)[0] = (byte)i;
            writer.Attribute(7, "name");
            int nested = writer.BeginNested(9);
            writer.Attribute(1, (uint)i);
            writer.EndNested(nested);
            writer.End();
        }

        writer.Seal(100);
        var reader = new NetlinkReader(writer.Written);
        for (ushort i = 1; i <= 3; i++)
        {
            Assert.True(reader.TryNext(out var message));
            Assert.Equal(20 + i, message.Type);
            Assert.Equal(99u + i, message.Sequence);
            Assert.Equal(i == 3 ? 5 : 1, message.Flags);
            Assert.Equal(i, message.Payload[0]);
            var attributes = message.AttributesAfter(5);
            Assert.True(attributes.TryNext(out var name));
            Assert.Equal("name", name.Text);
            Assert.True(attributes.TryNext(out var outer));
            var inner = outer.Nested;
            Assert.True(inner.TryNext(out var number));
            Assert.Equal(i, number.UInt32);
            Assert.False(attributes.TryNext(out _));
        }

        Assert.False(reader.TryNext(out _));
    }

    [Fact]
    public void Attribute_ShorterThanItsType_IsZero()
    {
        var attribute = new NetlinkAttribute(1, [1, 2]);

        Assert.Equal(0u, attribute.UInt32);
        Assert.Equal(default, attribute.Address(IpVersion.IPv4));
        Assert.Equal(0, new NetlinkAttribute(1, []).Byte);
    }

    [Fact]
    public void Reader_AnyBytes_EndsAndStaysInside() => Gen.Byte.Array[0, 200].Sample(bytes =>
    {
        if (bytes.Length > 6)
        {
            // Often a length that is possible.
            MemoryMarshal.Write(bytes, (uint)(bytes[4] + 16));
        }

        var reader = new NetlinkReader(bytes);
        while (reader.TryNext(out var message))
        {
            var attributes = message.AttributesAfter(12);
            while (attributes.TryNext(out var attribute))
            {
                _ = attribute.Text.Length + attribute.Address(IpVersion.IPv6).BitLength;
            }

            Assert.True(!RouteNetlink.TryParseRoute(message, out var route) || route.Destination.Version != IpVersion.None);
        }
    });
}
