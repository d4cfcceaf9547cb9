using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Io.Interop;
using Espalier.Io.Tests.Sockets;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.InMemory;

public sealed class InMemoryTests
{
    private static readonly InternetAddress Left = InternetAddress.Parse("192.0.2.1");
    private static readonly InternetAddress Right = InternetAddress.Parse("192.0.2.2");

    [Fact]
    public void TunnelDevice_Full_RefusesAndKeepsOrder()
    {
        using var device = new MemoryTunnelDevice(capacity: 4, packetSize: 100);
        for (byte i = 0; i < 4; i++)
        {
            Assert.True(device.Inject([i, i]));
            Assert.Equal(0, device.Send([i]));
        }

        Assert.False(device.Inject([9]));
        Assert.Equal(Errno.ENOBUFS, device.Send([9]));
        Assert.Equal(Errno.EMSGSIZE, device.Send(new byte[101]));
        var batch = SocketTestSupport.NewBatch(3);
        Assert.Equal(3, device.Receive(batch));
        Assert.Equal([0, 1, 2], new[] { batch.Packet(0)[0], batch.Packet(1)[0], batch.Packet(2)[0] });
        Assert.Equal(1, device.Receive(batch));
        Assert.Equal(0, device.Receive(batch));
        Assert.Equal(4, device.Waiting);
        byte[] buffer = new byte[100];
        Assert.True(device.TryTake(buffer, out int length));
        Assert.Equal((1, 0), (length, buffer[0]));
    }

    [Fact]
    public void OuterSockets_Linked_CarryAddressesPortsAndTrafficClass()
    {
        var (left, right) = MemoryOuterSocket.CreatePair(Left, 4500, Right, 4501);
        var batch = SocketTestSupport.NewBatch();
        SocketTestSupport.Add(batch, [1, 2, 3], Right, 4501, trafficClass: 0x2E);
        SocketTestSupport.Add(batch, [4], InternetAddress.Parse("::1"), 4501);
        Assert.Equal(1, SocketTestSupport.SendAll(left, batch));
        Assert.Equal(Errno.EAFNOSUPPORT, batch[1].Error);
        var received = SocketTestSupport.NewBatch();
        Assert.Equal(1, right.Receive(received));
        var slot = received[0];
        Assert.Equal((Left, Right, (ushort)4500, (byte)0x2E), (slot.Remote, slot.Local, slot.RemotePort, slot.TrafficClass));
        Assert.Equal([1, 2, 3], received.Packet(0).ToArray());
    }

    [Fact]
    public void OuterSockets_Full_CountDropsAndDoNotFragmentIsHonoured()
    {
        var (left, right) = MemoryOuterSocket.CreatePair(Left, 0, Right, 0, capacity: 2);
        left.MaximumPayload = 10;
        var batch = SocketTestSupport.NewBatch();
        for (int i = 0; i < 3; i++)
        {
            SocketTestSupport.Add(batch, [1], Right, 0);
        }

        SocketTestSupport.Add(batch, new byte[11], Right, 0, dontFragment: true);
        Assert.Equal(3, SocketTestSupport.SendAll(left, batch));
        Assert.Equal(1, right.KernelDrops);
        Assert.Equal(Errno.EMSGSIZE, batch[3].Error);
    }

    [Fact]
    public void SocketPair_Packets_PassBoundedAndWhole()
    {
        var (host, device) = SocketPairTunnelDevice.CreatePair(bufferBytes: 20_000);
        using (host)
        {
            int sent = 0;
            while (host.Send(SocketTestSupport.Payload(1000, (byte)sent)) == 0)
            {
                sent++;
            }

            Assert.InRange(sent, 2, 100);
            Assert.Equal(Errno.EAGAIN, host.Send(new byte[1000]));
            var batch = SocketTestSupport.NewBatch();
            int received = 0;
            while (device.Receive(batch) is > 0 and int count)
            {
                for (int i = 0; i < count; i++)
                {
                    Assert.Equal(SocketTestSupport.Payload(1000, (byte)received++), batch.Packet(i).ToArray());
                }
            }

            Assert.Equal(sent, received);
            host.Send(new byte[1000]);
            var small = new PacketBatch(2, 600, 100);
            Assert.Equal(1, device.Receive(small));
            Assert.True(small[0].Truncated);
            device.Dispose();
            Assert.Throws<DeviceException>(() => host.Receive(batch));
        }
    }
}
