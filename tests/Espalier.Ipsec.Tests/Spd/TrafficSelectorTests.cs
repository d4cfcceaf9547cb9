using CsCheck;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Spd;

public class TrafficSelectorTests
{
    // Addresses of three bits, protocols and ports of few values: small enough to try every flow.
    private static readonly Gen<TrafficSelector> Small = Gen.Select(
        Prefix(), Prefix(), Gen.OneOf(Gen.Const((byte)0), Gen.Byte[1, 2]), Port(), Port(),
        (source, destination, protocol, sourcePort, destinationPort) =>
            new TrafficSelector(source, destination, protocol, sourcePort.Item1, sourcePort.Item2, destinationPort.Item1, destinationPort.Item2));

    [Fact]
    public void Property_ContainsAndOverlaps_AgreeWithTryingEveryFlow() => Gen.Select(Small, Small).Sample(
        (one, other) =>
        {
            var mine = AllFlows().Where(f => one.Matches(f)).ToHashSet();
            var theirs = AllFlows().Where(f => other.Matches(f)).ToHashSet();
            if (one.Contains(other))
            {
                Assert.Subset(mine, theirs);
            }

            Assert.Equal(mine.Overlaps(theirs), one.Overlaps(other));
        },
        iter: 300);

    [Fact]
    public void Contains_NarrowerInEveryPart_IsTrue()
    {
        var wide = Build.Selector("10.0.0.0/8", "172.16.0.0/12", 6);
        Assert.True(wide.Contains(wide));
        Assert.True(wide.Contains(Build.Selector("10.1.0.0/16", "172.16.5.0/24", 6, destinationPort: 80)));
        Assert.False(wide.Contains(Build.Selector("10.1.0.0/16", "172.16.5.0/24")));
        Assert.False(wide.Contains(Build.Selector("0.0.0.0/0", "172.16.5.0/24", 6)));
        Assert.False(Build.Selector("10.0.0.0/8", "172.16.0.0/12", 6, destinationPort: 80).Contains(wide));
        Assert.False(wide.Contains(Build.Selector("::/0", "::/0", 6)));
    }

    private static IEnumerable<FlowKey> AllFlows()
    {
        for (uint bits = 0; bits < 16; bits++)
        {
            for (byte protocol = 0; protocol < 3; protocol++)
            {
                for (ushort ports = 0; ports < 16; ports++)
                {
                    yield return new FlowKey(Address(bits & 3), Address(bits >> 2), protocol, (ushort)(ports & 3), (ushort)(ports >> 2));
                }
            }
        }
    }

    private static InternetAddress Address(uint bits) => new(IpVersion.IPv4, bits << 30);

    private static Gen<AddressPrefix> Prefix() => Gen.Select(Gen.UInt[0, 3], Gen.Int[0, 2], (bits, length) => new AddressPrefix(Address(bits), length));

    private static Gen<(ushort, ushort)> Port() => Gen.Select(Gen.UShort[0, 3], Gen.UShort[0, 3], (value, mask) => (value, mask));
}
