using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Io.Sockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Io.Tests.Sockets.SocketTestSupport;

namespace Espalier.Io.Tests.Sockets;

/// <summary>Nothing is allocated per packet, batch or system call.</summary>
[Collection(nameof(AllocationCollection))]
public sealed class AllocationTests
{
    private const int Packets = 100_000;

    // The runtime allocates on the running thread when it compiles a hot method again.
    private const int Warmup = 200;

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void OuterSocket_OnLoopback_AllocatesNothing(string address)
    {
        var loopback = InternetAddress.Parse(address);
        var options = Options(loopback.Version) with { BindAddress = loopback };
        using var sender = UdpEncapsulationSocket.Open(options);
        using var receiver = UdpEncapsulationSocket.Open(options);
        var source = NewBatch();
        for (int i = 0; i < source.Capacity; i++)
        {
            // The DF bit changes within each batch, and one packet of each is refused.
            Add(source, Payload(200), i == 20 ? InternetAddress.AnyIPv6 with { Version = IpVersion.None } : loopback, receiver.LocalPort, loopback, (byte)i, i % 16 < 8);
        }

        byte[] quoted = new byte[64];
        var target = NewBatch();
        for (int i = 0; i < Warmup; i++)
        {
            Round();
        }

        long allocated = Allocation.Least(() =>
        {
            int received = 0;
            while (received < Packets)
            {
                received += Round();
            }
        });

        Assert.Equal(0, allocated);

        int Round()
        {
            Require(SendAll(sender, source) == source.Capacity - 1);
            int count = 0;
            while (count < source.Capacity - 1)
            {
                count += Receive(receiver, target);
            }

            sender.TryReceiveError(quoted, out _);
            return count;
        }

        static void Require(bool condition)
        {
            if (!condition)
            {
                throw new InvalidOperationException("a packet was not sent");
            }
        }
    }

    [Theory]
    [InlineData("10.77.0.1", "10.77.0.2")]
    [InlineData("fd77::1", "fd77::2")]
    public void SharedPort_SuperPacketsAndRelay_AllocateNothing(string leftAddress, string rightAddress)
    {
        var (left, right) = (InternetAddress.Parse(leftAddress), InternetAddress.Parse(rightAddress));
        using var sending = NetworkNamespace.Create("left");
        using var receiving = NetworkNamespace.Create("right");
        sending.LinkTo(receiving, "veth0", ["10.77.0.1/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"]);
        using var sender = sending.Run(() => UdpEncapsulationSocket.Open(Options(left.Version, 4500) with { SendOnly = true }));
        using var receiver = receiving.Run(() => UdpEncapsulationSocket.Open(Options(left.Version, 4500) with { Interface = "veth0", ReceiveOffload = true }));
        using var relay = receiving.Run(() => LoopbackRelay.Open(1));
        var source = NewBatch();
        for (int i = 0; i < source.Capacity; i++)
        {
            Add(source, Payload(200), right, 4500, left);
        }

        // A veth hands a message of several over as the sender made it.
        var target = new PacketBatch(4, 66_000, 128, packetsPerSlot: 64);
        int joined = 0;
        Round();
        for (int i = 0; i < Warmup; i++)
        {
            Round();
        }

        joined = 0;
        int measured = 0;
        long allocated = Allocation.Least(() =>
        {
            measured += 500;
            for (int i = 0; i < 500; i++)
            {
                Round();
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(measured * 31, joined);

        void Round()
        {
            SendAll(sender, source);
            for (int received = 0; received < source.Count; received += target.Count)
            {
                int slots = Receive(receiver, target);
                if (slots == 0)
                {
                    throw new InvalidOperationException("a packet was lost");
                }

                joined += target.Count - slots;
                for (int i = 0; i < target.Count; i += 8)
                {
                    relay.Relay(target[i], target.Packet(i), 4500);
                    relay.RelayError(new OuterError(left, 4500, 200, 3, 3, 0, 111, Offender: left, Local: right), target.Packet(i), 4500);
                }
            }
        }
    }

    [Fact]
    public void MemoryDevices_Always_AllocateNothing()
    {
        using var tunnel = new MemoryTunnelDevice();
        var (left, right) = MemoryOuterSocket.CreatePair(InternetAddress.Parse("192.0.2.1"), 1, InternetAddress.Parse("192.0.2.2"), 2);
        byte[] packet = Payload(500);
        byte[] buffer = new byte[1000];
        var batch = NewBatch();
        var target = NewBatch();
        for (int i = 0; i < Warmup; i++)
        {
            Round();
        }

        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < Packets / 32; i++)
            {
                Round();
            }
        });

        Assert.Equal(0, allocated);

        void Round()
        {
            for (int i = 0; i < 32; i++)
            {
                tunnel.Inject(packet);
            }

            tunnel.Receive(batch);
            for (int i = 0; i < batch.Count; i++)
            {
                batch[i].Remote = InternetAddress.AnyIPv4;
            }

            SendAll(left, batch);
            right.Receive(target);
            for (int i = 0; i < target.Count; i++)
            {
                tunnel.Send(target.Packet(i));
                tunnel.TryTake(buffer, out _);
            }
        }
    }
}
