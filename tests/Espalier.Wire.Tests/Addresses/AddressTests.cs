using System.Net;
using CsCheck;
using Espalier.Wire.Addresses;

namespace Espalier.Wire.Tests.Addresses;

public sealed class AddressTests
{
    private static readonly Gen<(IpVersion Version, byte[] Bytes)> _addresses =
        Gen.Select(Gen.Bool, Gen.Byte.Array[16, 16], (isIPv6, bytes) => isIPv6 ? (IpVersion.IPv6, bytes) : (IpVersion.IPv4, bytes[..4]));

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("10.1.0.10")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("2001:db8:1::10")]
    [InlineData("::ffff:10.1.0.10")]
    [InlineData("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
    public void InternetAddress_Text_IsKept(string text) => Assert.Equal(text, InternetAddress.Parse(text).ToString());

    [Fact]
    public void InternetAddress_Default_IsNone()
    {
        InternetAddress address = default;
        Assert.Equal((IpVersion.None, 0, true, "any"), (address.Version, address.ByteLength, address.IsUnspecified, address.ToString()));
        Assert.Equal(0, address.Write([]));
        Assert.Equal(IPAddress.None, address.ToIPAddress());
        Assert.NotEqual(InternetAddress.AnyIPv4, address);
        Assert.NotEqual(InternetAddress.AnyIPv4, InternetAddress.AnyIPv6);
    }

    [Fact]
    public void InternetAddress_AnyBytes_AreWrittenBack() =>
        _addresses.Sample(entry =>
        {
            var address = InternetAddress.Read(entry.Version, entry.Bytes);
            byte[] written = new byte[16];
            Assert.Equal(entry.Bytes.Length, address.Write(written));
            Assert.Equal(entry.Bytes, written[..entry.Bytes.Length]);
            Assert.Equal(new IPAddress(entry.Bytes), address.ToIPAddress());
            Assert.Equal(address, InternetAddress.From(new IPAddress(entry.Bytes)));
        });

    [Fact]
    public void Masked_AnyLength_EqualsNaive() =>
        Gen.Select(_addresses, Gen.Int[0, 128]).Sample((entry, length) =>
        {
            byte[] expected = [.. entry.Bytes];
            for (int bit = length; bit < expected.Length * 8; bit++)
            {
                expected[bit / 8] &= (byte)~(0x80 >> (bit % 8));
            }

            Assert.Equal(InternetAddress.Read(entry.Version, expected), InternetAddress.Read(entry.Version, entry.Bytes).Masked(length));
        });

    [Fact]
    public void Contains_AnyPrefix_EqualsBitByBit() =>
        Gen.Select(_addresses, Gen.Int[0, 128], Gen.Int[0, 127]).Sample((entry, length, flipped) =>
        {
            length = Math.Min(length, entry.Bytes.Length * 8);
            flipped %= entry.Bytes.Length * 8;
            var prefix = new AddressPrefix(InternetAddress.Read(entry.Version, entry.Bytes), length);
            Assert.True(prefix.Contains(prefix.Address));
            Assert.True(prefix.Contains(prefix.Canonical.Address));
            entry.Bytes[flipped / 8] ^= (byte)(0x80 >> (flipped % 8));
            Assert.Equal(flipped >= length, prefix.Contains(InternetAddress.Read(entry.Version, entry.Bytes)));
        });

    [Fact]
    public void Contains_OtherVersion_IsFalse()
    {
        Assert.False(AddressPrefix.AllIPv4.Contains(InternetAddress.AnyIPv6));
        Assert.False(AddressPrefix.AllIPv6.Contains(InternetAddress.AnyIPv4));
        Assert.False(AddressPrefix.AllIPv4.Contains(default));
        Assert.True(AddressPrefix.AllIPv4.Contains(InternetAddress.Parse("255.0.0.1")));
    }

    [Theory]
    [InlineData("10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8")]
    [InlineData("10.1.2.3", "10.1.2.3/32", "10.1.2.3/32")]
    [InlineData("2001:db8::1/0", "2001:db8::1/0", "::/0")]
    [InlineData("2001:db8::1", "2001:db8::1/128", "2001:db8::1/128")]
    public void AddressPrefix_Text_IsParsed(string text, string prefix, string canonical)
    {
        Assert.Equal(prefix, AddressPrefix.Parse(text).ToString());
        Assert.Equal(canonical, AddressPrefix.Parse(text).Canonical.ToString());
    }

    [Theory]
    [InlineData("10.0.0.0/33")]
    [InlineData("::/129")]
    [InlineData("10.0.0.0/-1")]
    [InlineData("10.0.0.0/+8")]
    [InlineData("10.0.0.0/")]
    [InlineData("10.0.0.0/x")]
    [InlineData("10.0.0.0/99999999999")]
    [InlineData("/8")]
    [InlineData("")]
    public void AddressPrefix_BadText_IsAFormatException(string text) => Assert.Throws<FormatException>(() => AddressPrefix.Parse(text));
}
