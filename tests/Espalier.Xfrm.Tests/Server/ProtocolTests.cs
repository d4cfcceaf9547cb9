using System.Text;
using Espalier.Io;
using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>The control socket's own protocol: attach, groups, statistics, hang-ups, bounds, and who may connect.</summary>
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
        using var lease = UnixConnection.Connect(server.Path);
        var (a, b) = UnixConnection.Pair(datagram: true);
        using (a)
        using (b)
        {
            Assert.Equal(0, lease.Send(Attach(), b.Descriptor));
            Assert.Equal(0, Next(lease).Errno);
            Assert.Equal(0, Ask(lease, Groups(XfrmGroup.Sa)).Errno);

            Assert.Equal(0, a.Send(Request.NewSa()));

            Assert.Equal((ControlMessage.Done, 0u), (Next(lease) is var done ? done.Type : (ushort)0, done.Body<uint>()));
            Assert.Equal((ushort)XfrmMessage.NewSa, Next(a).Type);
            Assert.Equal((Netlink.Error, 0), (Next(a) is var ack ? ack.Type : (ushort)0, ack.Errno));
            Assert.Equal(LinuxError.Exists, Ask(lease, Attach(), b).Errno);
        }
    }

    [Fact]
    public void Attached_AnswerIsQueued_WhenDoneArrives()
    {
        using var server = new ServerHarness();
        using var lease = UnixConnection.Connect(server.Path);
        var (a, b) = UnixConnection.Pair(datagram: true);
        using (a)
        using (b)
        {
            Assert.Equal(0, lease.Send(Attach(), b.Descriptor));
            Assert.Equal(0, Next(lease).Errno);
            for (int i = 0; i < 200; i++)
            {
                Assert.Equal(0, a.Send(Request.PolicyId(XfrmMessage.GetPolicy, flags: Netlink.Request)));
                Assert.Equal(ControlMessage.Done, Next(lease).Type);
                byte[] buffer = new byte[4096];
                Assert.Equal(UnixReceiveOutcome.Message, a.Receive(buffer).Outcome);
            }
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

            ServerHarness.Until(() => server.Server.Counters.Clients == 0, "the client is gone");
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

        ServerHarness.Until(() => Directory.GetFiles("/proc/self/fd").Length <= before + 10, "descriptors are closed");
    }

    [Fact]
    public void Encap_IsRefusedForNow()
    {
        using var server = new ServerHarness();
        using var connection = UnixConnection.Connect(server.Path);

        var answer = Ask(connection, Private(ControlMessage.Encapsulation, 2));

        Assert.Equal(LinuxError.NotSupported, answer.Errno);
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
        Assert.Contains("reserved", Assert.Throws<XfrmException>(() => client.AddSa(request with { Spi = new Ipsec.Spi(5) })).Message, StringComparison.Ordinal);
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
    public void Garbage_AndHangUps_LeaveTheServerServing()
    {
        using var server = new ServerHarness();
        using var good = server.Connect();
        var random = new Random(3);
        for (int i = 0; i < 300; i++)
        {
            using var connection = UnixConnection.Connect(server.Path);
            byte[] bytes = new byte[random.Next(1, 3000)];
            random.NextBytes(bytes);
            if (i % 3 == 0)
            {
                var (a, b) = UnixConnection.Pair(datagram: true);
                connection.Send(Attach(), b.Descriptor);
                a.Send(bytes);
                a.Send(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump));
                (i % 2 == 0 ? a : b).Dispose();
                a.Dispose();
                b.Dispose();
            }
            else
            {
                connection.Send(bytes);
                connection.Send(((byte[])Request.NewSa()).AsSpan(0, 100));
            }
        }

        Assert.Empty(good.DumpSas());
        ServerHarness.Until(() => server.Server.Counters.Clients == 1, "the others are gone");
        Assert.DoesNotContain(server.Log, line => line.StartsWith("3005", StringComparison.Ordinal));
    }

    [Fact]
    public void Requests_TooLong_AreRefused()
    {
        using var server = new ServerHarness();
        using var lease = UnixConnection.Connect(server.Path);
        var (a, b) = UnixConnection.Pair(datagram: true);
        using (a)
        using (b)
        {
            Assert.Equal(0, lease.Send(Attach(), b.Descriptor));
            Assert.Equal(0, Next(lease).Errno);

            Assert.Equal(0, a.Send(new byte[70_000]));

            Assert.Equal((uint)LinuxError.MessageTooLong, Next(lease).Body<uint>());
        }

        using var direct = UnixConnection.Connect(server.Path);
        Assert.Equal(0, direct.Send(new byte[70_000]));
        Assert.Equal(LinuxError.MessageTooLong, Next(direct).Errno);
        Assert.Equal(2, server.Server.Counters.Malformed);
    }

    [Fact]
    public void Dump_OfManyEntriesToASlowReader_TakesBoundedMemory()
    {
        const int count = 10_000;
        using var server = new ServerHarness();
        using var writer = server.Connect();
        for (uint i = 0; i < count; i++)
        {
            writer.AddPolicy(new PolicyRequest
            {
                Selector = new Ipsec.Spd.TrafficSelector(
                    new Wire.Addresses.AddressPrefix(Wire.Addresses.InternetAddress.Parse("10.0.0.0") with { Bits = 0x0a000000 + i }, 32),
                    Wire.Addresses.AddressPrefix.AllIPv4, 0, 0, 0, 0, 0),
                Direction = Ipsec.Spd.PolicyDirection.Out,
            });
        }

        var algorithms = new[] { new Ipsec.Algorithms.AlgorithmSpec(Ipsec.Algorithms.AlgorithmKind.Aead, "rfc4106(gcm(aes))", Request.Key(20), 128) };
        for (uint i = 0; i < count; i++)
        {
            writer.AddSa(new SaRequest
            {
                Source = Wire.Addresses.InternetAddress.Parse("192.0.2.1"),
                Destination = Wire.Addresses.InternetAddress.Parse("192.0.2.2"),
                Spi = new Ipsec.Spi(0x1000 + i),
                Algorithms = algorithms,
            });
        }

        foreach (var type in (XfrmMessage[])[XfrmMessage.GetSa, XfrmMessage.GetPolicy])
        {
            using var slow = UnixConnection.Connect(server.Path);
            Assert.Equal(0, slow.Send(Request.Bare(type, Netlink.Request | Netlink.Dump)));
            // Others are served while the slow one does not read, and what waits for it stays small.
            writer.DeleteSa(new Ipsec.Sad.SaIdentity(new Ipsec.Spi(0x1000), Wire.Addresses.InternetAddress.Parse("192.0.2.2")));
            writer.AddSa(new SaRequest
            {
                Source = Wire.Addresses.InternetAddress.Parse("192.0.2.1"),
                Destination = Wire.Addresses.InternetAddress.Parse("192.0.2.2"),
                Spi = new Ipsec.Spi(0x1000),
                Algorithms = algorithms,
            });
            Assert.InRange(server.OnLoop(() => server.Server.WaitingBytes), 0, 4096);

            int entries = 0;
            int largest = 0;
            bool done = false;
            byte[] buffer = new byte[64 * 1024];
            while (!done)
            {
                Assert.True(slow.WaitReadable(10_000));
                var received = slow.Receive(buffer);
                largest = Math.Max(largest, received.Length);
                foreach (var message in Parsed.All(buffer[..received.Length]))
                {
                    done |= message.Type == Netlink.Done;
                    entries += message.Type == Netlink.Done ? 0 : 1;
                }
            }

            Assert.InRange(entries, count - 1, count);
            Assert.InRange(largest, 1, 4096);
        }
    }

    [Fact]
    public void SecondDump_WhileOneRuns_IsBusy()
    {
        using var server = new ServerHarness();
        using var writer = server.Connect();
        for (uint i = 0; i < 3000; i++)
        {
            writer.AllocateSpi(Wire.Addresses.InternetAddress.Parse("192.0.2.1"), Wire.Addresses.InternetAddress.Parse("192.0.2.2"), 0x1000 + i, 0x1000 + i);
        }

        using var slow = UnixConnection.Connect(server.Path);
        Assert.Equal(0, slow.Send(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)));
        Assert.Equal(0, slow.Send(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)));

        var messages = new List<Parsed>();
        while (!messages.Any(message => message.Type == Netlink.Done) || !messages.Any(message => message.Type == Netlink.Error))
        {
            Assert.True(slow.WaitReadable(10_000));
            byte[] buffer = new byte[8192];
            messages.AddRange(Parsed.All(buffer[..slow.Receive(buffer).Length]));
        }

        Assert.Equal(LinuxError.Busy, messages.Single(message => message.Type == Netlink.Error).Errno);
        Assert.Equal(3000, messages.Count(message => message.Type == (ushort)XfrmMessage.NewSa));
    }

    [Fact]
    public void Notifications_ToAClientThatDoesNotRead_AreLostAndCounted()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumQueuedBytes = 20_000 });
        using var deaf = server.Connect();
        using var writer = server.Connect();
        deaf.Subscribe(XfrmGroup.Sa);
        var id = new Ipsec.Sad.SaIdentity(new Ipsec.Spi(0x1000), Wire.Addresses.InternetAddress.Parse("192.0.2.2"));
        for (int i = 0; i < 1000; i++)
        {
            writer.AddSa(new SaRequest
            {
                Source = Wire.Addresses.InternetAddress.Parse("192.0.2.1"),
                Destination = id.Destination,
                Spi = id.Spi,
                Algorithms = [new Ipsec.Algorithms.AlgorithmSpec(Ipsec.Algorithms.AlgorithmKind.Aead, "rfc4106(gcm(aes))", Request.Key(20), 128)],
            });
            writer.DeleteSa(id);
        }

        // Counters of the control thread are read once it has nothing more to do.
        long lost = server.OnLoop(() => server.Server.Counters.NotificationsLost);
        for (long left = 2000 - lost; left > 0; left--)
        {
            Assert.NotNull(deaf.Receive(10_000));
        }

        Assert.Null(deaf.Receive(0));
        Assert.InRange(server.Server.Counters.NotificationsLost, 1, 2000);
        Assert.Single(server.Log, line => line.StartsWith("3004", StringComparison.Ordinal));
        Assert.Empty(deaf.DumpSas());
    }

    [Fact]
    public void Clients_BeyondTheLimit_AreTurnedAway()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 3 });
        using var one = server.Connect();
        using var two = server.Connect();
        using var three = server.Connect();
        three.DumpSas();
        using var four = UnixConnection.Connect(server.Path);

        ServerHarness.Until(() => server.Server.Counters.TooMany == 1, "the fourth is turned away");
        Assert.True(four.WaitReadable(5000));
        Assert.Equal(UnixReceiveOutcome.Closed, four.Receive(new byte[100]).Outcome);
        one.DumpSas();
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

    [Fact]
    public void Peer_OfAnotherUser_IsRefusedUnlessNamed()
    {
        Requirement.Root();
        Requirement.Tool("setpriv");
        Requirement.Tool("ip");
        const string words = "setpriv --reuid 65534 --regid 65533 --clear-groups";
        string directory = OpenDirectory();
        using (var closed = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "a.sock") }))
        {
            var refused = AsUser(closed, words);
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Equal(1, closed.Server.Counters.Refused);
            Assert.Contains(closed.Log, line => line.Contains("--allow-user", StringComparison.Ordinal));
        }

        using (var byUser = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "b.sock"), AllowedUsers = [65534] }))
        {
            Assert.Equal(0, AsUser(byUser, words).ExitCode);
        }

        using (var byGroup = new ServerHarness(new ControlServerOptions { Path = Path.Combine(directory, "c.sock"), AllowedGroups = [65533] }))
        {
            Assert.Equal(0, AsUser(byGroup, words).ExitCode);
            Assert.NotEqual(0, AsUser(byGroup, "setpriv --reuid 65534 --regid 65534 --clear-groups").ExitCode);
            Assert.Equal(0, AsUser(byGroup, "setpriv --reuid 65534 --regid 65534 --groups 65533").ExitCode);
        }

        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public void Peer_OfAnotherNamespace_IsRefusedWithTheReason()
    {
        using var network = NetworkNamespace.Create("control");
        using var server = new ServerHarness(network: network);
        using var outside = UnixConnection.Connect(server.Path);

        var answer = Ask(outside, Attach());
        Assert.Equal(LinuxError.CrossDevice, answer.Errno);
        Assert.Contains("namespace", answer.Text, StringComparison.Ordinal);
        Assert.True(outside.WaitReadable(5000));
        Assert.Equal(UnixReceiveOutcome.Closed, outside.Receive(new byte[100]).Outcome);

        using var inside = network.Run(() => server.Connect());
        Assert.Empty(inside.DumpSas());
    }

    [Fact]
    public void RefusedClients_ThatSayNothing_DoNotTakePlaces()
    {
        using var network = NetworkNamespace.Create("control");
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 2 }, network);
        var outside = Enumerable.Range(0, 40).Select(_ => UnixConnection.Connect(server.Path)).ToArray();

        using var inside = network.Run(() => server.Connect());
        Assert.Empty(inside.DumpSas());

        Array.ForEach(outside, connection => connection.Dispose());
        ServerHarness.Until(() => server.Server.Counters.Clients == 1, "they are gone");
    }

    private static CommandResult AsUser(ServerHarness server, string words)
    {
        // The preload library must be readable for the user, so it is copied beside the socket.
        string library = Path.Combine(Path.GetDirectoryName(server.Path)!, "libespalier-xfrm.so");
        if (!File.Exists(library))
        {
            File.Copy(PreloadLibrary.Path, library);
            Command.Run("chmod", "a+r", library);
        }

        return Command.Try(words.Split(' ')[0], [.. words.Split(' ')[1..], "env", $"ESPALIER_CONTROL={server.Path}", $"LD_PRELOAD={library}", "ip", "xfrm", "state"]);
    }

    private static string OpenDirectory()
    {
        string directory = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-control").FullName;
        Command.Run("chmod", "755", directory);
        return directory;
    }

    private static string Unused() => Path.Combine(Path.GetTempPath(), $"esp{Environment.ProcessId}-{Guid.NewGuid():N}.sock");

    private static byte[] Attach(uint version = 1, uint protocol = 6) => Private(ControlMessage.Attach, version, protocol);

    private static byte[] Groups(params XfrmGroup[] groups) =>
        Private(ControlMessage.Groups, groups.Aggregate(0u, (mask, group) => mask | 1u << ((int)group - 1)));

    private static byte[] Private(ushort type, params uint[] payload)
    {
        var request = Request.Bare((XfrmMessage)type, Netlink.Request);
        byte[] message = [.. request.Bytes(), .. payload.SelectMany(BitConverter.GetBytes)];
        return message.WithLength();
    }

    private static Parsed Ask(UnixConnection connection, byte[] message, UnixConnection? passed = null)
    {
        Assert.Equal(0, connection.Send(message, passed?.Descriptor));
        return Next(connection);
    }

    private static Parsed Next(UnixConnection connection)
    {
        Assert.True(connection.WaitReadable(10_000), "no answer");
        byte[] buffer = new byte[8192];
        var received = connection.Receive(buffer);
        Assert.Equal(UnixReceiveOutcome.Message, received.Outcome);
        return Assert.Single(Parsed.All(buffer[..received.Length]));
    }
}
