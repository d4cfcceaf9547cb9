using CsCheck;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Messages;

/// <summary>What is written is read back: structs and value types, messages and attributes.</summary>
public sealed class ConversionTests
{
    private static readonly Gen<AddressPrefix> Prefix4 =
        Gen.Select(Gen.UInt, Gen.Int[0, 32], (bits, length) => new AddressPrefix(new InternetAddress(IpVersion.IPv4, bits), length));

    private static readonly Gen<AddressPrefix> Prefix6 =
        Gen.Select(Gen.ULong, Gen.ULong, Gen.Int[0, 128], (high, low, length) => new AddressPrefix(new InternetAddress(IpVersion.IPv6, new UInt128(high, low)), length));

    [Fact]
    public void Selector_WrittenAndRead_IsTheSame() =>
        Gen.Select(Gen.Bool, Prefix4, Prefix4, Prefix6, Prefix6, Gen.UShort.Array[4], Gen.Byte).Sample(
            (four, source4, destination4, source6, destination6, ports, protocol) =>
            {
                var selector = new TrafficSelector(
                    four ? source4 : source6, four ? destination4 : destination6, protocol, ports[0], ports[1], ports[2], ports[3]);
                XfrmSelector written = default;
                XfrmConversions.FromSelector(selector, ref written);
                return XfrmConversions.ToSelector(written, XfrmConversions.ToVersion(written.Family)) == selector;
            });

    [Fact]
    public void Limits_WrittenAndRead_AreTheSame() =>
        Gen.ULong.Array[8].Sample(values =>
        {
            var limits = new LifetimeLimits(values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]);
            XfrmLifetimeConfiguration written = default;
            XfrmConversions.FromLimits(limits, ref written);
            return XfrmConversions.ToLimits(written) == limits;
        });

    [Fact]
    public void Messages_WrittenAndRead_AreTheSame() =>
        Gen.Select(Gen.UShort[16, 40], Gen.UShort, Gen.UInt, Gen.Byte.Array[0, 50]).Array[1, 8].Sample(messages =>
        {
            var writer = new NetlinkWriter(16 * 1024);
            foreach (var (type, flags, sequence, payload) in messages)
            {
                writer.Begin(type, flags, sequence, 7);
                writer.Append(payload);
                writer.End();
            }

            var reader = new NetlinkMessageReader(writer.Written);
            foreach (var (type, flags, sequence, payload) in messages)
            {
                Assert.True(reader.MoveNext());
                Assert.Equal((type, flags, sequence), (reader.Header.Type, reader.Header.Flags, reader.Header.Sequence));
                Assert.Equal(payload, reader.Payload[..payload.Length].ToArray());
                Assert.Equal(Netlink.Align(payload.Length), reader.Payload.Length);
            }

            Assert.False(reader.MoveNext());
            Assert.False(reader.Malformed);
        });

    [Fact]
    public void Writer_Cleared_HoldsNothing()
    {
        var writer = new NetlinkWriter(256);
        writer.Begin(20, 0, 1, 2);
        writer.Append([1, 2, 3]);
        writer.End();
        writer.Clear();
        writer.Begin(20, 0, 1, 2);
        ref var place = ref writer.Reserve<XfrmMark>();

        Assert.Equal((0u, 0u), (place.Value, place.Mask));
    }
}
