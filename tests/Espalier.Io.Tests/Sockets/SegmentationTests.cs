using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Io.Tests.Sockets.SocketTestSupport;

namespace Espalier.Io.Tests.Sockets;

/// <summary>
/// Messages that the kernel cuts into datagrams (UDP_SEGMENT): on the wire they are what single sends would have been.
/// <code>
/// left  10.77.0.1, fd77::1  ──veth, MTU 1500──  10.77.0.2, fd77::2  right
/// </code>
/// </summary>
public sealed class SegmentationTests : IDisposable
{
    private const ushort Port = 4500;
    private const int Slots = 128;
    private readonly NetworkNamespace _left = NetworkNamespace.Create("left");
    private readonly NetworkNamespace _right = NetworkNamespace.Create("right");

    public SegmentationTests() => _left.LinkTo(
        _right, "veth0", ["10.77.0.1/24", "10.77.0.11/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"]);

    public static TheoryData<string> Peers => ["10.77.0.2", "fd77::2"];

    public void Dispose()
    {
        _left.Dispose();
        _right.Dispose();
    }

    [Theory]
    [MemberData(nameof(Peers))]
    public void EqualSizes_AreOneMessage_AndArriveAsSent(string address)
    {
        AssertArrive(address, messages: 1, [.. Enumerable.Repeat(1400, 40)]);
        AssertArrive(address, messages: 1, [.. Enumerable.Repeat(1400, 20), 77]);
    }

    [Theory]
    [MemberData(nameof(Peers))]
    public void ShorterOne_EndsTheMessage_LongerOneStartsAnother(string address)
    {
        AssertArrive(address, messages: 2, [100, 100, 60, 60, 60]);
        AssertArrive(address, messages: 1, [100, 200, 200, 100]);
        AssertArrive(address, messages: 0, [100, 200, 300]);
        AssertArrive(address, messages: 1, [100, 50, 100]);
    }

    // 64 segments, and 65,507 bytes.
    [Theory]
    [MemberData(nameof(Peers))]
    public void TooManyForOneMessage_AreSeveral(string address)
    {
        AssertArrive(address, messages: 2, [.. Enumerable.Repeat(64, 128)]);
        AssertArrive(address, messages: 2, [.. Enumerable.Repeat(1440, 60)]);
    }

    [Fact]
    public void DifferentPeerSourceOrTrafficClass_IsNotJoined()
    {
        using var left = Open(_left, IpVersion.IPv4);
        using var right = Open(_right, IpVersion.IPv4);
        var batch = NewBatch(Slots);
        var to = InternetAddress.Parse("10.77.0.2");
        Add(batch, Payload(100), to, Port, InternetAddress.Parse("10.77.0.1"));
        Add(batch, Payload(100), to, Port, InternetAddress.Parse("10.77.0.11"));
        Add(batch, Payload(100), to, Port, InternetAddress.Parse("10.77.0.11"), trafficClass: 2);
        Add(batch, Payload(100), to, Port, InternetAddress.Parse("10.77.0.11"), trafficClass: 2, dontFragment: false);
        Add(batch, Payload(100), to, 9, InternetAddress.Parse("10.77.0.11"), trafficClass: 2, dontFragment: false);

        Assert.Equal(5, SendAll(left, batch));

        Assert.Equal(0, left.SegmentedMessages);
        var received = ReceiveAll(right, 4);
        Assert.Equal(["10.77.0.1", "10.77.0.11", "10.77.0.11", "10.77.0.11"], received.Select(one => one.Slot.Remote.ToString()));
        Assert.Equal([0, 0, 2, 2], received.Select(one => (int)one.Slot.TrafficClass));
    }

    // The kernel does not cut into what the interface cannot carry: each packet then has its own answer, as without.
    [Theory]
    [InlineData("10.77.0.2", false)]
    [InlineData("10.77.0.2", true)]
    [InlineData("fd77::2", false)]
    [InlineData("fd77::2", true)]
    public void SegmentsLargerThanTheInterface_AreRefusedOrFragmentedOneByOne(string address, bool inRow)
    {
        var to = InternetAddress.Parse(address);
        using var left = Open(_left, to.Version);
        using var right = Open(_right, to.Version);
        var batch = inRow ? NewRow(Slots) : NewBatch(Slots);
        Add(batch, Payload(2000), to, Port, dontFragment: true);
        Add(batch, Payload(2000), to, Port, dontFragment: true);
        Add(batch, Payload(50), to, Port, dontFragment: true);
        Add(batch, Payload(2000, seed: 9), to, Port, dontFragment: false);
        Add(batch, Payload(2000, seed: 9), to, Port, dontFragment: false);

        Assert.Equal(3, SendAll(left, batch));

        Assert.Equal([Errno.EMSGSIZE, Errno.EMSGSIZE, 0, 0, 0], batch.Slots.ToArray().Select(slot => slot.Error));
        Assert.Equal([50, 2000, 2000], ReceiveAll(right, 3).Select(one => one.Bytes.Length));
        Assert.True(left.SegmentsMessages);
    }

    // SO_NO_CHECK makes the kernel refuse every message that it must cut (EINVAL): as on a way that cannot.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RefusedAtRunTime_EveryPacketArrives_AndTheKernelIsSoonNotAskedAgain(bool inRow)
    {
        using var left = Open(_left, IpVersion.IPv4);
        using var right = Open(_right, IpVersion.IPv4);
        using var descriptor = new System.Net.Sockets.SafeSocketHandle(left.PollDescriptor, ownsHandle: false);
        using var option = new System.Net.Sockets.Socket(descriptor);
        option.SetRawSocketOption(1, 11, BitConverter.GetBytes(1));
        for (int round = 0; round < 20; round++)
        {
            Assert.Equal(round < 16, left.SegmentsMessages);
            AssertSendsAll(left, right);
        }

        Assert.Equal(0, left.SegmentedMessages);

        void AssertSendsAll(UdpEncapsulationSocket from, UdpEncapsulationSocket to)
        {
            var batch = inRow ? NewRow(Slots) : NewBatch(Slots);
            for (int i = 0; i < 10; i++)
            {
                Add(batch, Payload(100, (byte)i), InternetAddress.Parse("10.77.0.2"), Port);
            }

            Assert.Equal(10, SendAll(from, batch));
            Assert.Equal(Enumerable.Range(0, 10).Select(i => Payload(100, (byte)i)), ReceiveAll(to, 10).Select(one => one.Bytes));
        }
    }

    [Fact]
    public void SwitchedOff_NothingIsJoined()
    {
        using var left = _left.Run(() => UdpEncapsulationSocket.Open(Options(IpVersion.IPv4, Port) with { Segmentation = false }));
        using var right = Open(_right, IpVersion.IPv4);
        var batch = NewBatch(Slots);
        Add(batch, Payload(100), InternetAddress.Parse("10.77.0.2"), Port);
        Add(batch, Payload(100), InternetAddress.Parse("10.77.0.2"), Port);

        Assert.Equal(2, SendAll(left, batch));

        Assert.Equal(0, left.SegmentedMessages);
        ReceiveAll(right, 2);
    }

    private static UdpEncapsulationSocket Open(NetworkNamespace where, IpVersion version, ushort port = Port) =>
        where.Run(() => UdpEncapsulationSocket.Open(Options(version, port)));

    // Each in its slot, and in a row, where they are one piece of the message.
    private void AssertArrive(string address, int messages, int[] sizes)
    {
        AssertArrive(NewBatch(Slots), address, messages, sizes);
        AssertArrive(NewRow(Slots), address, messages, sizes);
    }

    private void AssertArrive(PacketBatch batch, string address, int messages, int[] sizes)
    {
        // Any ports, because this is called again at once: a program that another test starts meanwhile holds a copy of a closed socket until its exec.
        var to = InternetAddress.Parse(address);
        using var left = Open(_left, to.Version, port: 0);
        using var right = Open(_right, to.Version, port: 0);
        for (int i = 0; i < sizes.Length; i++)
        {
            Add(batch, Payload(sizes[i], (byte)(i + 1)), to, right.LocalPort, trafficClass: 2);
        }

        Assert.Equal(sizes.Length, SendAll(left, batch));

        Assert.All(batch.Slots.ToArray(), slot => Assert.Equal(0, slot.Error));
        Assert.Equal(messages, left.SegmentedMessages);
        var received = ReceiveAll(right, sizes.Length);
        for (int i = 0; i < sizes.Length; i++)
        {
            Assert.Equal(Payload(sizes[i], (byte)(i + 1)), received[i].Bytes);
            Assert.Equal(2, received[i].Slot.TrafficClass);
        }
    }
}
