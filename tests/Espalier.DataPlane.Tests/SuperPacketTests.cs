using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;

namespace Espalier.DataPlane.Tests;

/// <summary>What UDP_GRO gives as one: packets that lie one right behind the other in a slot, each handled as if it had come alone.</summary>
public sealed class SuperPacketTests
{
    public static TheoryData<string, bool> Suites
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var suite in Suite.All)
            {
                data.Add(suite.Name, false);
                data.Add(suite.Name, true);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Suites))]
    public void Packets_InOneSlot_AreOpenedInPlaceAndInOrder(string name, bool esn)
    {
        const int Count = 30;
        var suite = Suite.All.Single(one => one.Name == name);
        var relay = new RecordingRelay();
        using var pair = new Pair(
            new TunnelSettings { Suite = suite, Flags = Ipsec.Sad.SaFlags.AfUnspec | (esn ? Ipsec.Sad.SaFlags.Esn : 0) }, relay: relay);
        var batch = new PacketBatch(1, 66_000, 128, packetsPerSlot: 32);
        var inner = new List<byte[]>();
        var ike = new List<byte[]>();
        int offset = batch.Headroom;
        for (int i = 0; i < Count; i++)
        {
            byte[] packet;
            if (i % 5 == 3)
            {
                ike.Add([0, 0, 0, 0, (byte)i, .. new byte[40]]);
                packet = ike[^1];
            }
            else
            {
                inner.Add(Packets.Udp("10.1.0.1", "10.2.0.1", payload: 64 + (i % 3 * 4)));
                packet = Forge.Seal(suite, Pair.LeftToRight, (ulong)inner.Count, inner[^1], 4, esn);
            }

            packet.CopyTo(batch.Buffer, offset);
            batch[batch.Count++] = new PacketSlot
            {
                Offset = offset,
                Length = packet.Length,
                Remote = pair.LeftOuter,
                RemotePort = 4500,
                Local = pair.RightOuter,
            };
            offset += packet.Length;
        }

        pair.Right.Inbound.Process(batch, pair.RightSocket);
        Assert.Equal(inner, pair.Right.Tunnel.Written);
        Assert.Equal(ike, relay.Relayed.Select(entry => entry.Payload));
        Assert.Equal(ike.Count, pair.Right.Counters.Read(TrafficCounter.IkeRelayed));
        Assert.Equal(0, pair.Right.Counters.Snapshot().TotalDrops);
    }

    [Fact]
    public void Errors_AboutIke_GoToTheRelayAndThoseAboutEspDoNot()
    {
        var relay = new RecordingRelay();
        using var pair = new Pair(relay: relay);
        var error = new OuterError(pair.LeftOuter, 4500, 0, 3, 3, 0, 111, Offender: pair.LeftOuter, Local: pair.RightOuter);
        byte[] ike = [0, 0, 0, 0, 9, 9, 9, 9, 9];
        pair.RightSocket.QueueError(error, ike);
        pair.RightSocket.QueueError(error, []);
        pair.RightSocket.QueueError(error, [1, 2, 3, 4, 5, 6, 7, 8]);
        pair.RightSocket.QueueError(error with { IsLocal = true, Errno = 90, PathMtu = 1400 }, []);
        pair.Right.RunInbound();
        Assert.Equal([ike, []], relay.Errors.Select(entry => entry.Quoted));
        Assert.Equal(2, pair.Right.Counters.Read(TrafficCounter.IkeErrorsRelayed));
        Assert.Equal(1, pair.Right.Counters.Read(TrafficCounter.IcmpErrorsIgnored));

        relay.Refusal = 100;
        pair.RightSocket.QueueError(error, ike);
        pair.Right.RunInbound();
        Assert.Equal(1, pair.Right.Counters.Read(TrafficCounter.IkeErrorsLost));
    }
}
