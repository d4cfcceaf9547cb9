using CsCheck;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Packets;

public sealed class IPv6HeaderChainTests
{
    [Fact]
    public void TryWalk_CapturedOptions_EndsAtUdp()
    {
        Assert.True(IPv6Packet.TryParse(Captures.UdpBehindOptions6, out var packet));
        Assert.True(IPv6HeaderChain.TryWalk(packet.NextHeader, packet.Payload, out var chain));
        Assert.Equal((IpProtocol.Udp, 16), (chain.Protocol, chain.Length));
        Assert.False(chain.HasFragmentHeader);
        Assert.False(chain.IsFragment);
        Assert.True(chain.IsProtocolKnown);
    }

    [Fact]
    public void TryWalk_CapturedFragments_ReadsOffsetAndIdentification()
    {
        Assert.True(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, Captures.Fragments6[0].AsSpan(40), out var first));
        Assert.Equal((IpProtocol.Udp, 8, 0, true, 0xCABEF0D2u), (first.Protocol, first.Length, first.FragmentOffset, first.MoreFragments, first.Identification));
        Assert.True(first.IsFragment);
        Assert.True(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, Captures.Fragments6[1].AsSpan(40), out var second));
        Assert.Equal((IpProtocol.Udp, 8, 1232, false, 0xCABEF0D2u), (second.Protocol, second.Length, second.FragmentOffset, second.MoreFragments, second.Identification));
        Assert.True(second.IsFragment);
        Assert.True(second.IsProtocolKnown);
    }

    // RFC 4301 §4.4.1.1: AH and ESP are next layer protocols; RFC 8200 §4.7: so is "no next header".
    [Theory]
    [InlineData(IpProtocol.Ah)]
    [InlineData(IpProtocol.Esp)]
    [InlineData(IpProtocol.NoNextHeader)]
    [InlineData(IpProtocol.MobilityHeader)]
    [InlineData(139)]
    public void TryWalk_NextLayerProtocol_IsNotWalked(byte protocol)
    {
        Assert.True(IPv6HeaderChain.TryWalk(protocol, [], out var chain));
        Assert.Equal((protocol, 0), (chain.Protocol, chain.Length));
    }

    // RFC 6946 §4: offset 0 and M clear is a whole packet.
    [Fact]
    public void TryWalk_AtomicFragment_IsNoFragment()
    {
        Assert.True(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, [17, 0, 0, 0, 1, 2, 3, 4], out var chain));
        Assert.True(chain.HasFragmentHeader);
        Assert.False(chain.IsFragment);
        Assert.Equal(0x01020304u, chain.Identification);
    }

    // RFC 8200 §4.5: behind the Fragment header of a later fragment stands payload, whatever its next header says.
    [Fact]
    public void TryWalk_LaterFragmentOfDestinationOptions_StopsAndKnowsNoProtocol()
    {
        Assert.True(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, [60, 0, 0, 8, 0, 0, 0, 1, 17, 0, 1, 4, 0, 0, 0, 0], out var chain));
        Assert.Equal((IpProtocol.DestinationOptions, 8), (chain.Protocol, chain.Length));
        Assert.False(chain.IsProtocolKnown);
    }

    // RFC 7112 §5: a first fragment holds the whole chain.
    [Fact]
    public void TryWalk_FirstFragmentWithoutWholeChain_IsRefused() =>
        Assert.False(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, [60, 0, 0, 1, 0, 0, 0, 1, 17, 1, 1, 4, 0, 0, 0, 0], out _));

    // RFC 8200 §4.1: Hop-by-Hop Options only right behind the IPv6 header.
    [Fact]
    public void TryWalk_HopByHopNotFirst_IsRefused()
    {
        byte[] options = [0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        Assert.False(IPv6HeaderChain.TryWalk(IpProtocol.DestinationOptions, options, out _));
        Assert.False(IPv6HeaderChain.TryWalk(IpProtocol.HopByHopOptions, options, out _));
    }

    [Fact]
    public void TryWalk_TwoFragmentHeaders_IsRefused() =>
        Assert.False(IPv6HeaderChain.TryWalk(IpProtocol.Fragment, [44, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 2], out _));

    [Theory]
    [InlineData(IPv6HeaderChain.MaximumHeaders, true)]
    [InlineData(IPv6HeaderChain.MaximumHeaders + 1, false)]
    public void TryWalk_ManyHeaders_AreBounded(int count, bool accepted)
    {
        byte[] payload = new byte[count * 8];
        for (int i = 0; i < count; i++)
        {
            payload[i * 8] = i == count - 1 ? IpProtocol.Tcp : IpProtocol.DestinationOptions;
        }

        Assert.Equal(accepted, IPv6HeaderChain.TryWalk(IpProtocol.DestinationOptions, payload, out _));
    }

    [Theory]
    [InlineData(IpProtocol.HopByHopOptions)]
    [InlineData(IpProtocol.Routing)]
    [InlineData(IpProtocol.Fragment)]
    [InlineData(IpProtocol.DestinationOptions)]
    public void TryWalk_CutOffHeader_IsRefused(byte header)
    {
        for (int length = 0; length < 8; length++)
        {
            Assert.False(IPv6HeaderChain.TryWalk(header, new byte[length], out _));
        }
    }

    // Chains are laid out by hand from a list of headers; the walk must find each end. Cut anywhere before it, it must refuse.
    [Fact]
    public void TryWalk_AnyChain_FindsItsEnd() =>
        Gen.Select(Gen.Select(Gen.Int[0, 1], Gen.Int[0, 3]).Array[0, 8], Gen.Bool, Gen.Int[0, 40]).Sample((headers, startsWithHopByHop, rest) =>
        {
            var bytes = new List<byte>();
            var types = headers.Select(h => h.Item1 == 0 ? IpProtocol.Routing : IpProtocol.DestinationOptions).ToList();
            var units = headers.Select(h => h.Item2).ToList();
            if (startsWithHopByHop)
            {
                types.Insert(0, IpProtocol.HopByHopOptions);
                units.Insert(0, 1);
            }

            types.Add(IpProtocol.Tcp);
            for (int i = 0; i < units.Count; i++)
            {
                bytes.Add(types[i + 1]);
                bytes.Add((byte)units[i]);
                bytes.AddRange(new byte[6 + (units[i] * 8)]);
            }

            int end = bytes.Count;
            byte[] payload = [.. bytes, .. new byte[rest]];
            Assert.True(IPv6HeaderChain.TryWalk(types[0], payload, out var chain));
            Assert.Equal((IpProtocol.Tcp, end), (chain.Protocol, chain.Length));
            for (int cut = 0; cut < end; cut++)
            {
                Assert.False(IPv6HeaderChain.TryWalk(types[0], payload.AsSpan(0, cut), out _));
            }
        });

    [Fact]
    public void TryWalk_RandomBytes_NeverLeavesThePayload() =>
        Gen.Select(Gen.OneOf<byte>(0, 43, 44, 60), Gen.OneOf(Gen.Byte, Gen.OneOf<byte>(0, 43, 44, 60)).Array[0, 200]).Sample((next, payload) =>
        {
            if (IPv6HeaderChain.TryWalk(next, payload, out var chain))
            {
                Assert.InRange(chain.Length, 0, payload.Length);
            }
        });
}
