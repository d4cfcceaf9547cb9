using System.Text;
using Espalier.Io;
using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>The control socket's own protocol: attach, groups, statistics, the life of a client.</summary>
public sealed class ProtocolTests
{
    [Fact]
    public void Attach_WithoutDescriptor_ProbesAndTellsTheMark()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), Mark = 0x4550 });
        using var connection = UnixConnection.Connect(server.Path);

        var answer = Ask(connection, Attach());

        Assert.Equal((Netlink.Error, 0), (answer.Type, answer.Errno));
        Assert.Equal(0x4550u, BitConverter.ToUInt32(answer.ErrorAttributes().Single(a => a.Type == ControlMessage.CookieAttribute).Value));
    }

    [Fact]
    public void Probe_OfAServer_TellsItsMarkIfItHasOne()
    {
        using var marking = new ServerHarness(new ControlServerOptions { Path = Unused(), Mark = 0x1234 });
        using var plain = new ServerHarness();
        using var one = marking.Connect();
        using var other = plain.Connect();

        Assert.Equal(0x1234u, one.Probe());
        Assert.Null(other.Probe());
    }

    [Theory]
    [InlineData(2u, 6u)]
    [InlineData(1u, 0u)]
    public void Attach_OfAnotherVersionOrProtocol_IsRefusedWithText(uint version, uint protocol)
    {
        using var server = new ServerHarness();
        using var connection = UnixConnection.Connect(server.Path);

        var answer = Ask(connection, Attach(version, protocol));

        Assert.Equal(LinuxError.ProtocolNotSupported, answer.Errno);
        Assert.NotNull(answer.Text);
    }

    [Fact]
    public void Attached_RequestsAnswersAndNotifications_GoOverThePair()
    {
        using var server = new ServerHarness();
        using var attached = new AttachedSocket(server);
        var (lease, a, b) = attached;
        Assert.Equal(0, Ask(lease, Groups(XfrmGroup.Sa)).Errno);

        Assert.Equal(0, a.Send(Request.NewSa()));

        Assert.Equal((ControlMessage.Done, 0u), (Next(lease) is var done ? done.Type : (ushort)0, done.Body<uint>()));
        Assert.Equal((ushort)XfrmMessage.NewSa, Next(a).Type);
        Assert.Equal((Netlink.Error, 0), (Next(a) is var ack ? ack.Type : (ushort)0, ack.Errno));
        Assert.Equal(LinuxError.Exists, Ask(lease, Attach(), b).Errno);
    }

    [Fact]
    public void Attached_AnswerIsQueued_WhenDoneArrives()
    {
        using var server = new ServerHarness();
        using var attached = new AttachedSocket(server);
        var (lease, a, _) = attached;
        for (uint sequence = 0; sequence < 200; sequence++)
        {
            byte[] request = Request.PolicyId(XfrmMessage.GetPolicy, flags: Netlink.Request).Bytes();
            BitConverter.GetBytes(sequence).CopyTo(request, 8);
            Assert.Equal(0, a.Send(request));
            var done = Next(lease);
            Assert.Equal((ControlMessage.Done, sequence), (done.Type, done.Sequence));
            byte[] buffer = new byte[4096];
            Assert.Equal(UnixReceiveOutcome.Message, a.Receive(buffer).Outcome);
        }
    }

    [Fact]
    public void Done_TellsOfEachMessageHowItEnded_WhetherOrNotItIsAcknowledged()
    {
        using var server = new ServerHarness();
        using var attached = new AttachedSocket(server);
        var (lease, a, _) = attached;
        byte[] silent = Request.NewPolicy();
        BitConverter.GetBytes(Netlink.Request).AsSpan(0, sizeof(ushort)).CopyTo(silent.AsSpan(6));

        Assert.Equal(0, a.Send([.. silent, .. silent, .. Request.PolicyId(XfrmMessage.DeletePolicy).Bytes(), .. Request.PolicyId(XfrmMessage.DeletePolicy).Bytes()]));
        Assert.Equal([0, 0, LinuxError.Exists, 0, LinuxError.NoEntry], Outcomes(Next(lease)));

        // As many as a request can hold.
        byte[] many = [.. Enumerable.Repeat(Request.Bare((XfrmMessage)Netlink.FirstType, flags: 0).Bytes(), 4096).SelectMany(message => message)];
        Assert.Equal(0, a.Send(many));
        Assert.Equal(new int[4097], Outcomes(Next(lease)));

        static int[] Outcomes(Parsed done)
        {
            Assert.Equal(ControlMessage.Done, done.Type);
            return [.. System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(done.Payload)];
        }
    }

    [Fact]
    public void Lease_Closed_EndsTheAttachment()
    {
        using var server = new ServerHarness();
        var lease = UnixConnection.Connect(server.Path);
        var (a, b) = UnixConnection.Pair(datagram: true);
        using (a)
        {
            Assert.Equal(0, lease.Send(Attach(), b.Descriptor));
            Assert.Equal(0, Next(lease).Errno);
            b.Dispose();
            lease.Dispose();

            Wait.Until(() => server.Server.Counters.Clients == 0, "the client is gone");
            Assert.NotEqual(0, a.Send(Request.NewSa()));
        }
    }

    [Fact]
    public void Attach_ADescriptorOfAnotherKind_IsRefused()
    {
        using var server = new ServerHarness();
        using var connection = UnixConnection.Connect(server.Path);
        using var file = new Io.Interop.SafeDescriptor(Io.Interop.Libc.open("/dev/null", 0));

        Assert.Equal(0, connection.Send(Attach(), file));
        var answer = Next(connection);

        Assert.Equal(LinuxError.Invalid, answer.Errno);
        Assert.Equal(0, Ask(connection, Attach()).Errno);
    }

    [Fact]
    public void Descriptors_OnOtherMessages_AreClosed()
    {
        using var server = new ServerHarness();
        using var connection = UnixConnection.Connect(server.Path);
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 50; i++)
        {
            using var file = new Io.Interop.SafeDescriptor(Io.Interop.Libc.open("/dev/null", 0));
            Assert.Equal(0, connection.Send(Groups(XfrmGroup.Sa), file));
            Assert.Equal(0, Next(connection).Errno);
        }

        Wait.Until(() => Directory.GetFiles("/proc/self/fd").Length <= before + 10, "descriptors are closed");
    }

    [Fact]
    public void UnknownOrShortMessages_AreRefused()
    {
        using var server = new ServerHarness();
        using var connection = UnixConnection.Connect(server.Path);

        Assert.Equal(LinuxError.Invalid, Ask(connection, Private(0xE5FF)).Errno);
        Assert.Equal(LinuxError.Invalid, Ask(connection, Private(ControlMessage.Groups)).Errno);
    }

    [Fact]
    public void Stat_LongDocument_ComesInParts()
    {
        using var server = new ServerHarness();
        byte[] document = Encoding.UTF8.GetBytes("{\"x\":\"" + new string('é', 50_001) + "\"}");
        server.Server.Statistics = () => document;
        using var client = server.Connect();

        Assert.Equal(document, client.Stat());
        Assert.Equal(document, client.Stat());
    }

    [Fact]
    public void Client_SaAndPolicy_RoundTrip()
    {
        using var server = new ServerHarness();
        using var client = server.Connect();
        using var other = server.Connect();
        other.Subscribe(XfrmGroup.Sa, XfrmGroup.Policy);
        var request = new SaRequest
        {
            Source = Wire.Addresses.InternetAddress.Parse("2001:db8::1"),
            Destination = Wire.Addresses.InternetAddress.Parse("2001:db8::2"),
            Spi = new Ipsec.Spi(0x1234),
            ReqId = 4,
            Flags = Ipsec.Sad.SaFlags.Esn | Ipsec.Sad.SaFlags.AfUnspec,
            ReplayWindow = 256,
            OutboundSequence = 0x1_0000_0005,
            InboundSequence = 0x2_0000_0007,
            Encapsulation = new Ipsec.Sad.UdpEncapsulation(4500, 4501, Wire.Addresses.InternetAddress.AnyIPv6),
            Algorithms = [new Ipsec.Algorithms.AlgorithmSpec(Ipsec.Algorithms.AlgorithmKind.Aead, "rfc4106(gcm(aes))", Request.Key(36), 128)],
        };
        var selector = new Ipsec.Spd.TrafficSelector(
            Wire.Addresses.AddressPrefix.Parse("10.0.0.0/8"), Wire.Addresses.AddressPrefix.Parse("10.2.3.0/24"), 6, 0, 0, 443, 0xffff);

        client.AddSa(request);
        client.AddPolicy(new PolicyRequest
        {
            Selector = selector,
            Direction = Ipsec.Spd.PolicyDirection.Out,
            Priority = 6,
            Template = new PolicyTemplateRequest(request.Source, request.Destination, 4),
        });
        var sa = Assert.Single(client.DumpSas());
        var policy = Assert.Single(client.DumpPolicies());

        Assert.Equal(client.GetSa(sa.Id)!.Id, sa.Id);
        Assert.Equal((request.Source, 4u, 256, request.OutboundSequence, request.InboundSequence), (sa.Source, sa.ReqId, sa.ReplayWindow, sa.OutboundSequence, sa.InboundSequence));
        Assert.Equal(request.Encapsulation, sa.Encapsulation);
        Assert.Equal(Request.Key(36), sa.Algorithms[0].Key);
        Assert.Equal((selector, 6u, 4u), (policy.Selector, policy.Priority, policy.Template!.ReqId));
        Assert.Equal(LinuxError.Exists, Assert.Throws<XfrmException>(() => client.AddSa(request)).Error);
        Assert.Contains("SPI 0", Assert.Throws<XfrmException>(() => client.AddSa(request with { Spi = default })).Message, StringComparison.Ordinal);
        Assert.Equal(new Ipsec.Spi(0x999), client.AllocateSpi(request.Source, request.Destination, 0x999, 0x999));
        client.DeleteSa(sa.Id);
        Assert.Null(client.GetSa(sa.Id));
        client.DeletePolicy(selector, Ipsec.Spd.PolicyDirection.Out);
        client.FlushSas();
        client.FlushPolicies();
        Assert.Equal(
            [XfrmNotificationKind.SaAdded, XfrmNotificationKind.PolicyAdded, XfrmNotificationKind.SaDeleted, XfrmNotificationKind.PolicyDeleted, XfrmNotificationKind.Other],
            Enumerable.Range(0, 5).Select(_ => other.Receive(5000)!.Kind));
    }

    [Fact]
    public void Keys_InReceiveBuffers_AreZeroed()
    {
        using var server = new ServerHarness();
        using var client = server.Connect();

        client.AddSa(new SaRequest
        {
            Source = Wire.Addresses.InternetAddress.Parse("192.0.2.1"),
            Destination = Wire.Addresses.InternetAddress.Parse("192.0.2.2"),
            Spi = new Ipsec.Spi(0x1000),
            Algorithms = [new Ipsec.Algorithms.AlgorithmSpec(Ipsec.Algorithms.AlgorithmKind.Aead, "rfc4106(gcm(aes))", Request.Key(20), 128)],
        });

        Assert.All(server.OnLoop(() => server.Server.ReceiveBuffer.ToArray()), octet => Assert.Equal(0, octet));
        Assert.Equal(0, server.OnLoop(() => server.Server.Service.Context.Writer.Length));
    }

    [Fact]
    public void Socket_OfADeadDaemon_IsReplacedAndOfALiveOneRefused()
    {
        string path = Unused();
        using (var leftover = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Seqpacket, 0))
        {
            leftover.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
            Assert.True(File.Exists(path));
        }

        if (!File.Exists(path))
        {
            // .NET removes the file of a socket that it closes.
            Command.Run("bash", "-c", $"python3 -c 'import socket; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(\"{path}\")' 2>/dev/null || true");
        }

        using var server = new ServerHarness(new ControlServerOptions { Path = path });
        using var second = new ControlServer(new Ipsec.IpsecDatabase(), new ControlServerOptions { Path = path }, server);
        var refused = Assert.Throws<DeviceException>(() => second.Start());
        Assert.Contains("in use", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
        using var client = server.Connect();
        Assert.Empty(client.DumpSas());
    }
}
