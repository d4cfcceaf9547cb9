using System.Net;
using System.Net.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Tests.Sockets;
using Espalier.Io.Tun;
using Espalier.Testing;

namespace Espalier.Io.Tests.Tun;

/// <summary>
/// A TUN in a namespace of its own.
/// <code>
/// UDP socket of the host ── routes 10.78.0.0/24 and fd78::/64 ── esp0 ── the test
/// </code>
/// </summary>
public sealed class TunDeviceTests : IDisposable
{
    private readonly NetworkNamespace _host;
    private readonly TunDevice _device;

    public TunDeviceTests()
    {
        Requirement.Tun();
        _host = NetworkNamespace.Create("tun");
        _device = _host.Run(() => TunDevice.Create("esp0"));
        _host.Sysctl("ipv6/conf/esp0/addr_gen_mode", "1");
        _host.Ip("address add 10.78.0.1/24 dev esp0");
        _host.Ip("address add fd78::1/64 dev esp0 nodad");
        _host.Ip("link set esp0 mtu 9000 multicast off up");
    }

    public void Dispose()
    {
        _device.Dispose();
        _host.Dispose();
    }

    [Theory]
    [InlineData("10.78.0.2", 20)]
    [InlineData("fd78::2", 40)]
    public void Receive_WhatTheHostSends_IsWholePacketsInOrder(string address, int header)
    {
        using var socket = _host.Run(() => Bound(address, 0));
        var target = new IPEndPoint(IPAddress.Parse(address), 9);
        int[] sizes = [1, 100, 1400, 8900];
        foreach (int size in sizes)
        {
            socket.SendTo(SocketTestSupport.Payload(size), target);
        }

        var batch = SocketTestSupport.NewBatch();
        Assert.Equal(sizes.Length, ReceiveUdp(batch));
        for (int i = 0; i < sizes.Length; i++)
        {
            Assert.Equal(header + 8 + sizes[i], batch[i].Length);
            Assert.Equal(batch.SlotStart(i) + batch.Headroom, batch[i].Offset);
            Assert.Equal(SocketTestSupport.Payload(sizes[i]), batch.Packet(i)[(header + 8)..].ToArray());
            Assert.False(batch[i].Truncated);
        }

        Assert.Equal(0, _device.Receive(batch));
    }

    [Theory]
    [InlineData("10.78.0.2", "10.78.0.1")]
    [InlineData("fd78::2", "fd78::1")]
    public void Send_Packet_ReachesTheHostsSocket(string from, string to)
    {
        using var socket = _host.Run(() => Bound(to, 7000));
        byte[] payload = SocketTestSupport.Payload(8000);
        Assert.Equal(0, _device.Send(IpPackets.Udp(from, 1234, to, 7000, payload)));
        byte[] buffer = new byte[10_000];
        socket.ReceiveTimeout = 5000;
        Assert.Equal(payload, buffer[..socket.Receive(buffer)]);
    }

    [Fact]
    public void Send_DeviceDownOrNoPacket_IsAnErrno()
    {
        Assert.Equal(Errno.EINVAL, _device.Send([0xF0, 1, 2, 3]));
        Assert.Equal(Errno.EINVAL, _device.Send([]));
        _host.Ip("link set esp0 down");
        Assert.Equal(Errno.EIO, _device.Send(IpPackets.Udp("10.78.0.2", 1, "10.78.0.1", 2, [1])));
        Assert.Equal(0, _device.Receive(SocketTestSupport.NewBatch()));
    }

    [Fact]
    public void Receive_PacketLargerThanSlot_IsMarkedTruncated()
    {
        using var socket = _host.Run(() => Bound("10.78.0.2", 0));
        socket.SendTo(new byte[2000], new IPEndPoint(IPAddress.Parse("10.78.0.2"), 9));
        var batch = new PacketBatch(4, 600, 100);
        Assert.Equal(1, ReceiveUdp(batch));
        Assert.True(batch[0].Truncated);
        Assert.Equal(500, batch[0].Length);
    }

    [Fact]
    public void KernelDrops_QueueFull_AreExactAndReadableFromOutside()
    {
        _host.Ip("link set esp0 txqueuelen 50");
        var batch = SocketTestSupport.NewBatch();
        while (_device.Receive(batch) > 0)
        {
        }

        long before = _device.KernelDrops;
        using var socket = _host.Run(() => Bound("10.78.0.2", 0));
        for (int i = 0; i < 400; i++)
        {
            socket.SendTo(new byte[10], new IPEndPoint(IPAddress.Parse("10.78.0.2"), 9));
        }

        int received = 0;
        while (_device.Receive(batch) is > 0 and int count)
        {
            received += count;
        }

        Assert.InRange(received, 1, 399);
        Assert.Equal(400 - received, _device.KernelDrops - before);
        Assert.Equal(before + 400 - received, long.Parse(_host.Exec("cat", "/sys/class/net/esp0/statistics/tx_dropped")));
    }

    [Fact]
    public void Create_NameInUse_SaysSo()
    {
        var refusal = Assert.Throws<DeviceException>(() => _host.Run(() => TunDevice.Create("esp0")));
        Assert.Equal(Errno.EBUSY, refusal.Error);
        Assert.Contains("in use by another process", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lo", "no TUN exists")]
    [InlineData("a-name-of-16-byt", "is no name")]
    [InlineData("a/b", "is no name")]
    public void Create_ImpossibleName_SaysSo(string name, string reason)
    {
        var refusal = Assert.Throws<DeviceException>(() => _host.Run(() => TunDevice.Create(name)));
        Assert.Equal(Errno.EINVAL, refusal.Error);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }

    [Fact]
    public void Dispose_Device_RemovesTheInterface()
    {
        Assert.Equal("esp0", _device.Name);
        Assert.Contains("esp0", _host.Ip("-o link"), StringComparison.Ordinal);
        _device.Dispose();
        Assert.DoesNotContain("esp0", _host.Ip("-o link"), StringComparison.Ordinal);
    }

    [Fact]
    public void Receive_DeviceDeletedBySomebodyElse_SaysSo()
    {
        _host.Ip("link delete esp0");
        var loss = Assert.Throws<DeviceException>(() => _device.Receive(SocketTestSupport.NewBatch()));
        Assert.Contains("esp0 was deleted", loss.Message, StringComparison.Ordinal);
    }

    private static System.Net.Sockets.Socket Bound(string like, int port)
    {
        var family = IPAddress.Parse(like).AddressFamily;
        var socket = new System.Net.Sockets.Socket(family, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, port));
        return socket;
    }

    /// <summary>Leaves aside what a newly raised interface says by itself (MLD reports).</summary>
    private int ReceiveUdp(PacketBatch batch)
    {
        while (SocketTestSupport.Wait(_device.PollDescriptor, Files.POLLIN))
        {
            if (_device.Receive(batch) > 0 && (batch[0].Length < 40 || batch.Packet(0)[6] != 0 || batch.Packet(0)[0] >> 4 == 4))
            {
                return batch.Count;
            }
        }

        return 0;
    }
}
