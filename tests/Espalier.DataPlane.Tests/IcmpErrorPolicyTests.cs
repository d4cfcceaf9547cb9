using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>
/// ICMP errors of routers that no policy covers, about packets that one does (RFC 4301 §6.2; the kernel's xfrm_in_fwd_icmp, xfrm_out_fwd_icmp,
/// icmp_rcv and xfrm_selector_inner_icmp_match).
/// <code>
///   10.1.0.0/16 ── Left ══ Right ── 10.2.0.0/16      10.7.0.7, fd07::7: a router behind Left
/// </code>
/// </summary>
public sealed class IcmpErrorPolicyTests
{
    private const string Router = "10.7.0.7";

    // What Right's side sent and the router could not deliver.
    private static byte[] Sent(string source = "10.2.0.5", string destination = "10.1.0.5") => Packets.Udp(source, destination, payload: 500);

    private static byte[] Error(byte[] about, string router = Router, byte type = 3, int quoted = 28, string? to = null)
    {
        bool isIPv6 = Packets.Address(router).Version == IpVersion.IPv6;
        byte[] message = new byte[8 + quoted];
        message[0] = type;
        about.AsSpan(0, quoted).CopyTo(message.AsSpan(8));
        return Packets.Ip(router, to ?? Packets.SourceOf(about).ToString(), isIPv6 ? (byte)58 : (byte)1, message);
    }

    private static byte[] Seal(byte[] packet, uint spi = Pair.LeftToRight, uint sequence = 1) =>
        Forge.Seal(Suite.Gcm, spi, sequence, packet, packet[0] >> 4 == 6 ? (byte)41 : (byte)4);

    [Fact]
    public void Inbound_ToBeForwarded_IsLetInByWhatItIsAbout()
    {
        using var pair = new Pair();
        byte[] error = Error(Sent());
        byte[] error6 = Error(Packets.Udp("fd02::5", "fd01::5"), "fd07::7", type: 2, quoted: 48);

        pair.Inject(Seal(error));
        pair.Inject(Seal(error6, sequence: 2));

        Assert.Equal([error, error6], pair.Right.Tunnel.Written);
    }

    [Theory]
    [InlineData("10.2.0.5", "10.9.0.5", (byte)3, 28)]
    [InlineData("10.2.0.5", "10.1.0.5", (byte)8, 28)]
    [InlineData("10.2.0.5", "10.1.0.5", (byte)5, 28)]
    [InlineData("10.2.0.5", "10.1.0.5", (byte)3, 19)]
    [InlineData("10.2.0.5", "10.1.0.5", (byte)3, 0)]
    public void Inbound_AboutAnotherPacketOrNoError_IsDropped(string source, string destination, byte type, int quoted)
    {
        using var pair = new Pair();

        pair.Inject(Seal(Error(Sent(source, destination), type: type, quoted: quoted)));

        Assert.Empty(pair.Right.Tunnel.Written);
        Assert.Equal(1, pair.Right.Counters.Read(DropReason.InboundNoPolicy));
    }

    [Theory]
    [InlineData(SaFlags.Icmp, true)]
    [InlineData(SaFlags.None, false)]
    public void Inbound_ToThisHost_NeedsTheFlagOfTheSa(SaFlags flag, bool passes)
    {
        using var pair = new Pair(new TunnelSettings { Flags = SaFlags.AfUnspec | flag });

        pair.Inject(Seal(Error(Sent("10.2.0.1"))));

        Assert.Equal(passes ? 1 : 0, pair.Right.Tunnel.Written.Count);
        Assert.Equal(passes ? 0 : 1, pair.Right.Counters.Read(DropReason.InboundNoPolicy));
    }

    [Theory]
    [InlineData(SaFlags.Icmp, true)]
    [InlineData(SaFlags.None, false)]
    public void Inbound_OutsideTheSelectorOfTheSa_NeedsItsFlag(SaFlags flag, bool passes)
    {
        using var pair = new Pair();
        var selector = new TrafficSelector(AddressPrefix.Parse("10.1.0.0/16"), AddressPrefix.Parse("10.2.0.0/16"), 0, 0, 0, 0, 0);
        Pair.Add(pair.Right, new TunnelSettings { Flags = flag, Selector = selector }, 0x3000, pair.LeftOuter, pair.RightOuter);

        pair.Inject(Seal(Error(Sent()), spi: 0x3000));

        Assert.Equal(passes ? 1 : 0, pair.Right.Tunnel.Written.Count);
        Assert.Equal(passes ? 0 : 1, pair.Right.Counters.Read(DropReason.InboundSelectorMismatch));
    }

    [Theory]
    [InlineData((byte)2, true)]
    [InlineData((byte)0, false)]
    public void Outbound_PolicyOfWhatItIsAbout_NeedsTheFlag(byte flags, bool isProtected)
    {
        using var pair = new Pair(policies: false);
        var template = pair.Template(pair.LeftOuter, pair.RightOuter);
        var plain = Pair.Policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out, template);
        var policy = Pair.AddPolicy(pair.Left, new SecurityPolicy
        {
            Selector = plain.Selector,
            Direction = plain.Direction,
            Priority = plain.Priority,
            Flags = flags,
            Templates = plain.Templates,
        });
        pair.AddPolicies(pair.Right, "10.2.0.0/16", "10.1.0.0/16", pair.RightOuter, pair.LeftOuter);
        byte[] error = Error(Sent());
        byte[] other = Error(Sent("10.9.0.5"));

        pair.LeftToRightRun(error, other);

        Assert.Equal(isProtected ? [error] : [], pair.Right.Tunnel.Written);
        Assert.Equal(isProtected ? [other] : [error, other], pair.Left.Bypass.Sent);
        Assert.Equal(isProtected ? 1u : 0u, policy.Usage.Packets);
    }
}
