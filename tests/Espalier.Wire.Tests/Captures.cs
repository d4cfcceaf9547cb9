using Espalier.Wire.Addresses;

namespace Espalier.Wire.Tests;

/// <summary>
/// Packets captured with tcpdump on Linux 6.18, from the IP header on. The router's link to b has an MTU of 1,280 bytes.
/// <code>
///   a 10.1.0.10 ─ veth, MTU 1500 ─ 10.1.0.1 r 10.2.0.1 ─ veth, MTU 1280 ─ 10.2.0.10 b
///     2001:db8:1::10                ::1       ::1                          2001:db8:2::10
/// </code>
/// Senders are iputils ping and a UDP socket whose payload is the bytes 00 01 02 … ff 00 …: of long packets only the start is kept.
/// </summary>
internal static class Captures
{
    public static readonly InternetAddress HostA4 = InternetAddress.Parse("10.1.0.10");
    public static readonly InternetAddress HostB4 = InternetAddress.Parse("10.2.0.10");
    public static readonly InternetAddress HostA6 = InternetAddress.Parse("2001:db8:1::10");
    public static readonly InternetAddress HostB6 = InternetAddress.Parse("2001:db8:2::10");
    public static readonly InternetAddress Router6 = InternetAddress.Parse("2001:db8:1::1");

    /// <summary>ping -s 24, a to b.</summary>
    public static byte[] EchoRequest4 => Hex(
        "45000034bd5a4000400169580a01000a0a02000a0800a6fb37c30001205c036b00000000a9280000000000001011121314151617");

    /// <summary>ping -s 24 over IPv6, a to b.</summary>
    public static byte[] EchoRequest6 => Hex(
        "600fb75500203a4020010db800010000000000000000001020010db80002000000000000000000108000e0fe37c40001205c036b000000009b340000000000001011121314151617");

    /// <summary>TCP SYN with options, a to b, port 49700 to 7.</summary>
    public static byte[] TcpSyn => Hex(
        "4500003c650940004006c19c0a01000a0a02000ac2240007ffae9a6b00000000a002faf084ea0000020405b40402080a9818bfac000000000103030a");

    /// <summary>"hello" in UDP behind Hop-by-Hop Options (router alert) and Destination Options (PadN), port 4661 to 9.</summary>
    public static byte[] UdpBehindOptions6 => Hex(
        "60007be4001d004020010db800010000000000000000001020010db80002000000000000000000103c00050200000100110001040000000012350009000d4e2f68656c6c6f");

    /// <summary>1,400 bytes of UDP with DF from a: too large for b's link.</summary>
    public static byte[] TooBig4 => Pattern("4500059400004000401121430a01000a0a02000a1234000905802b3e000102", 1428);

    /// <summary>Fragmentation needed that r sent about <see cref="TooBig4"/>.</summary>
    public static byte[] FragmentationNeeded => Pattern(
        "45c00240d7ce000040018c220a0100010a01000a03042871000005004500059400004000401121430a01000a0a02000a1234000905802b3e000102", 576);

    /// <summary>1,400 bytes of UDP from a over IPv6: too large for b's link.</summary>
    public static byte[] TooBig6 => Pattern(
        "600740ec0580114020010db800010000000000000000001020010db8000200000000000000000010123400090580e3bf000102", 1448);

    /// <summary>Packet Too Big that r sent about <see cref="TooBig6"/>.</summary>
    public static byte[] PacketTooBig => Pattern(
        "600f106f04d83a4020010db800010000000000000000000120010db80001000000000000000000100200bf8a00000500600740ec0580114020010db8000100000000" +
        "00000000001020010db8000200000000000000000010123400090580e3bf000102", 1280);

    /// <summary>1,400 bytes of UDP without DF and with a router alert option (which is copied), as a sent it.</summary>
    public static byte[] WithRouterAlert => Pattern("460005987e74000040114dc60a01000a0a02000a940400001234000905802b3e000102", 1432);

    /// <summary>The two pieces of <see cref="WithRouterAlert"/> that r sent to b, with TTL 63.</summary>
    public static byte[][] WithRouterAlertPieces =>
    [
        Pattern("460005007e7420003f112f5e0a01000a0a02000a940400001234000905802b3e000102", 1280),
        Pattern("460000b07e74009d3f1153110a01000a0a02000a94040000e0e1e2", 176),
    ];

    /// <summary>The first and the middle one of three fragments of 3,000 bytes of UDP, as a sent them.</summary>
    public static byte[][] LargeFragments =>
    [
        Pattern("450005dc7e7520004011c2850a01000a0a02000a123400090bc0aa2c000102", 1500),
        Pattern("450005dc7e7520b94011c1cc0a01000a0a02000ac0c1c2", 1500),
        Pattern("450000447e7501724011e6ab0a01000a0a02000a88898a", 68),
    ];

    /// <summary>What r made of each of <see cref="LargeFragments"/> for b's link, with TTL 63.</summary>
    public static byte[][][] LargeFragmentsPieces =>
    [
        [
            Pattern("450004fc7e7520003f11c4650a01000a0a02000a123400090bc0aa2c000102", 1276),
            Pattern("450000f47e75209d3f11c7d00a01000a0a02000ae0e1e2", 244),
        ],
        [
            Pattern("450004fc7e7520b93f11c3ac0a01000a0a02000ac0c1c2", 1276),
            Pattern("450000f47e7521563f11c7170a01000a0a02000aa8a9aa", 244),
        ],
        [Pattern("450000447e7501723f11e7ab0a01000a0a02000a88898a", 68)],
    ];

    /// <summary>The two IPv6 fragments of 2,000 bytes of UDP, port 4661 to 9, as a sent them.</summary>
    public static byte[][] Fragments6 =>
    [
        Pattern(
            "60007be404d82c4020010db800010000000000000000001020010db800020000000000000000001011000001cabef0d21235000907d83e43000102", 1280),
        Pattern("60007be403102c4020010db800010000000000000000001020010db8000200000000000000000010110004d0cabef0d2c8c9ca", 824),
    ];

    public static byte[] Hex(string text) => Convert.FromHexString(text);

    private static byte[] Pattern(string start, int length)
    {
        byte[] head = Hex(start);
        byte[] packet = new byte[length];
        head.CopyTo(packet, 0);
        for (int i = head.Length; i < length; i++)
        {
            packet[i] = (byte)(packet[i - 1] + 1);
        }

        return packet;
    }
}
