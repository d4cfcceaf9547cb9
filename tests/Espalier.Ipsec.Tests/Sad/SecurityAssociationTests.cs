using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Tests.Sad;

public class SecurityAssociationTests
{
    [Theory]
    [InlineData(SaState.Larval, SaState.Valid)]
    [InlineData(SaState.Larval, SaState.Expired)]
    [InlineData(SaState.Larval, SaState.Dead)]
    [InlineData(SaState.Valid, SaState.Expired)]
    [InlineData(SaState.Valid, SaState.Dead)]
    [InlineData(SaState.Expired, SaState.Expired)]
    [InlineData(SaState.Expired, SaState.Dead)]
    [InlineData(SaState.Dead, SaState.Dead)]
    public void State_Onward_IsTaken(SaState from, SaState to)
    {
        var sa = Build.Sa(0x100, state: from);
        sa.State = to;
        Assert.Equal(to, sa.State);
    }

    [Theory]
    [InlineData(SaState.Expired, SaState.Valid)]
    [InlineData(SaState.Expired, SaState.Larval)]
    [InlineData(SaState.Dead, SaState.Expired)]
    [InlineData(SaState.Dead, SaState.Valid)]
    [InlineData(SaState.Dead, SaState.Larval)]
    public void State_BackFromTheEnd_Throws(SaState from, SaState to)
    {
        var sa = Build.Sa(0x100, state: from);
        Assert.Throws<InvalidOperationException>(() => sa.State = to);
        Assert.Equal(from, sa.State);
    }

    [Fact]
    public void Dispose_ZeroesTheKeysAndIsDead()
    {
        var algorithm = new AlgorithmSpec(AlgorithmKind.Aead, "rfc4106(gcm(aes))", [1, 2, 3, 4], 128);
        var transform = new NullTransform();
        var sa = new SecurityAssociation { Id = new SaIdentity(new Spi(0x100), Build.Peer), Source = Build.Here, Algorithms = [algorithm], Transform = transform };
        sa.Dispose();
        sa.Dispose();
        Assert.Equal(SaState.Dead, sa.State);
        Assert.Equal(new byte[4], algorithm.Key);
        Assert.True(transform.IsDisposed);
    }

    [Fact]
    public void SaIdentity_EqualsAndHashCode_Agree()
    {
        var one = new SaIdentity(new Spi(0x100), Build.Ip("192.0.2.1"));
        Assert.Equal(one, new SaIdentity(new Spi(0x100), Build.Ip("192.0.2.1")));
        Assert.Equal(one.GetHashCode(), new SaIdentity(new Spi(0x100), Build.Ip("192.0.2.1")).GetHashCode());
        Assert.NotEqual(one, new SaIdentity(new Spi(0x101), Build.Ip("192.0.2.1")));

        // ::c000:201 has the same bits as 192.0.2.1.
        Assert.NotEqual(one, new SaIdentity(new Spi(0x100), Build.Ip("::c000:201")));
    }

    [Theory]
    [InlineData("192.0.2.1", false, 1_500, 1_500 - 20 - 8 - 8 - 16 - 2)] // multiple of 4 already: 1,448 of ciphertext
    [InlineData("192.0.2.1", true, 1_500, 1_438)]
    [InlineData("2001:db8::1", false, 1_500, 1_426)]
    [InlineData("2001:db8::1", true, 1_280, 1_198)]
    public void InnerMtu_IsTheLargestPacketThatFits(string source, bool udp, int outer, int expected)
    {
        var sa = new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(0x100), Build.Ip(source)),
            Source = Build.Ip(source),
            Transform = new NullTransform(8, 16),
            Encapsulation = udp ? new UdpEncapsulation(4500, 4500, default) : null,
        };
        Assert.Equal(expected, sa.InnerMtu(outer));
        Assert.True(sa.OuterHeaderLength + sa.Transform!.Geometry.PacketLength(expected) <= outer);
        Assert.True(sa.OuterHeaderLength + sa.Transform!.Geometry.PacketLength(expected + 1) > outer);
    }
}
