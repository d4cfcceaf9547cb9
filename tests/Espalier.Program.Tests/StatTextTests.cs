using System.Text.Json;
using Espalier.Statistics;

namespace Espalier.Program.Tests;

/// <summary>The statistics as text.</summary>
public sealed class StatTextTests
{
    [Fact]
    public void Write_WholeDocument_LaysItOut()
    {
        const string Json = """
            {
              "version": "0.1.0", "pid": 42, "uptimeSeconds": 93784, "control": "/run/espalier.sock",
              "tun": { "name": "esp0", "mtu": 1422 },
              "crypto": { "engine": "openssl", "library": "OpenSSL 3.0.17" },
              "memory": { "vmRssKiB": 14336, "rssAnonKiB": 6144, "vmHwmKiB": 15360 },
              "traffic": { "packetsOut": 1234567, "bytesOut": 1536, "packetsIn": 1, "bytesIn": 99, "packetsBypassed": 0, "bytesBypassed": 0,
                "ikeRelayed": 12, "ikeErrorsRelayed": 3, "ikeErrorsLost": 0 },
              "drops": { "InboundReplayed": 3, "InboundDummy": 0 },
              "dropNames": { "InboundReplayed": "XfrmInStateSeqError" },
              "kernelDrops": { "sockets": 5, "tun": 0, "guard": 2, "guardInbound": 2 },
              "associations": [ { "spi": "0x00000100", "source": "192.0.2.1", "destination": "192.0.2.2", "state": "valid", "algorithms": "rfc4106(gcm(aes)) 128",
                "packets": 10, "bytes": 1000, "replay": 1, "replayWindow": 2, "integrity": 3 } ],
              "associationsCount": 3,
              "policies": [
                { "direction": "out", "source": "10.1.0.0/16", "destination": "10.2.0.0/16", "protocol": 6, "sourcePort": 0, "sourcePortMask": 0,
                  "destinationPort": 80, "destinationPortMask": 65535, "action": "protect", "priority": 375103, "packets": 4, "bytes": 336 },
                { "direction": "out", "source": "10.1.0.0/16", "destination": "10.2.0.0/16", "protocol": 0, "sourcePort": 0, "sourcePortMask": 0,
                  "destinationPort": 0, "destinationPortMask": 0, "action": "block", "priority": 0, "packets": 0, "bytes": 0 } ],
              "policiesCount": 2,
              "workers": [ { "name": "outbound", "read": 5, "done": 4, "dropped": 1, "batches": 2 } ],
              "notes": [ "no guard" ]
            }
            """;
        using var output = new StringWriter();
        using var document = JsonDocument.Parse(Json);

        StatText.Write(document.RootElement, output);

        Assert.Equal(
            """
            espalier 0.1.0, process 42, up 1 d 02:03:04
            TUN esp0, MTU 1422; control socket /run/espalier.sock
            crypto openssl (OpenSSL 3.0.17)
            memory 14.0 MiB resident, 6.0 MiB anonymous, 15.0 MiB at peak

            traffic                                 packets    bytes
            out (TUN to ESP)                      1 234 567  1.5 KiB
            in (ESP to TUN)                               1     99 B
            out in clear                                  0      0 B
            IKE, to its daemon                           12
            ICMP errors about IKE, to its daemon          3
            ICMP errors about IKE, lost                   0

            dropped                              as the kernel's      packets
            InboundReplayed                      XfrmInStateSeqError        3
            by the kernel, socket queue full                                5
            by nftables, for this host in clear                             2

            SPI         from       to         state  algorithm              packets   bytes  replay  window  integrity
            0x00000100  192.0.2.1  192.0.2.2  valid  rfc4106(gcm(aes)) 128       10  1000 B       1       2          3
            … and 2 more

            policy  from              to                   action   priority  packets  bytes
            out     10.1.0.0/16[tcp]  10.2.0.0/16[tcp/80]  protect   375 103        4  336 B
            out     10.1.0.0/16       10.2.0.0/16          block           0        0    0 B

            worker    read  done  dropped  batches
            outbound     5     4        1        2
            note: no guard

            """,
            output.ToString());
    }

    [Fact]
    public void Write_EmptyDocument_DoesNotFail()
    {
        using var output = new StringWriter();
        using var document = JsonDocument.Parse("{}");
        StatText.Write(document.RootElement, output);
        Assert.Contains("no packet dropped", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("no policy", output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0, 0, "fd00::/64")]
    [InlineData(17, 0, 0, "fd00::/64[udp]")]
    [InlineData(58, 128, 0xffff, "fd00::/64[ipv6-icmp/128]")]
    [InlineData(132, 0x1f00, 0xff00, "fd00::/64[132/0x1f00/0xff00]")]
    [InlineData(0, 53, 0xffff, "fd00::/64[any/53]")]
    public void Side_OfASelector_HasProtocolAndPort(int protocol, int port, int mask, string text) =>
        Assert.Equal(text, SelectorText.Side("fd00::/64", protocol, port, mask));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(1 << 30, "1.0 GiB")]
    [InlineData(long.MaxValue, "8192.0 PiB")]
    public void Bytes_Value_HasAUnit(long value, string text) => Assert.Equal(text, StatText.Bytes(value));

    [Theory]
    [InlineData(0, "0")]
    [InlineData(999, "999")]
    [InlineData(1000000, "1 000 000")]
    public void Count_Value_IsGrouped(long value, string text) => Assert.Equal(text, StatText.Count(value));
}
