using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>What a client may not do to the server: garbage, hang-ups, requests too long, not reading, too many connections.</summary>
public sealed class BoundsTests
{
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
        Wait.Until(() => server.Server.Counters.Clients == 1, "the others are gone");
        Assert.DoesNotContain(server.Log, line => line.StartsWith("3005", StringComparison.Ordinal));
    }

    [Fact]
    public void Requests_TooLong_AreRefused()
    {
        using var server = new ServerHarness();
        using var attached = new AttachedSocket(server);
        var (lease, a, _) = attached;

        Assert.Equal(0, a.Send(new byte[70_000]));

        Assert.Equal((uint)LinuxError.MessageTooLong, Next(lease).Body<uint>());

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
    public void Notifications_ToAClientThatDoesNotRead_AreLostAndCountedAndTheClientIsTold()
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
        int overruns = 0;
        for (long left = 2000 - lost + 1; left > 0; left--)
        {
            var message = deaf.Receive(10_000);
            Assert.NotNull(message);
            overruns += message.MessageType == 4 ? 1 : 0; // NLMSG_OVERRUN
        }

        Assert.Equal(1, overruns);

        Assert.Null(deaf.Receive(0));
        Assert.InRange(server.Server.Counters.NotificationsLost, 1, 2000);
        Assert.Single(server.Log, line => line.StartsWith("3004", StringComparison.Ordinal));
        Assert.Empty(deaf.DumpSas());
    }

    [Fact]
    public void Clients_BeyondTheLimit_AreToldAndTurnedAway()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 3 });
        using var one = server.Connect();
        using var two = server.Connect();
        using var three = server.Connect();
        three.DumpSas();
        using var four = server.Connect();

        var refused = Assert.Throws<XfrmException>(() => four.DumpSas());
        Assert.Equal(LinuxError.Busy, refused.Error);
        Assert.Contains("serves 3 clients already", refused.Message, StringComparison.Ordinal);
        Assert.Equal(1, server.Server.Counters.TooMany);
        Assert.Single(server.Log, line => line.StartsWith("3001 ", StringComparison.Ordinal) && line.Contains("serves 3 clients already", StringComparison.Ordinal));

        two.Dispose();
        Wait.Until(() => server.Server.Counters.Clients == 2, "one is gone");
        using var five = server.Connect();
        Assert.Empty(five.DumpSas());
        Assert.Empty(one.DumpSas());
    }

    [Fact]
    public void Clients_BeyondTheLimit_OneMoreIsServedForWhoHearsOnItsConnection()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 2 });
        using var one = server.Connect();
        one.DumpSas();
        using var watch = server.Connect();
        watch.Subscribe(XfrmGroup.Policy);

        using (var asking = server.Connect())
        {
            Assert.Empty(asking.DumpSas());
            using var another = server.Connect();
            Assert.Equal(LinuxError.Busy, Assert.Throws<XfrmException>(() => another.DumpSas()).Error);
        }

        Wait.Until(() => server.Server.Counters.Clients == 2, "what was beside is gone");
        using (var again = server.Connect())
        {
            Assert.Empty(again.DumpSas());
        }

        Wait.Until(() => server.Server.Counters.Clients == 2, "it too");
        watch.Dispose();
        Wait.Until(() => server.Server.Counters.Clients == 1, "the watch is gone");
        using var second = server.Connect();
        second.DumpSas();
        using var third = server.Connect();
        Assert.Equal(LinuxError.Busy, Assert.Throws<XfrmException>(() => third.DumpSas()).Error);
    }

    // The kernel names the process that connected, so this takes another one.
    [Fact]
    public void Clients_BeyondTheLimitOfAnotherProcess_AreTurnedAway()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 1 });
        using var watch = server.Connect();
        watch.Subscribe(XfrmGroup.Policy);

        var other = Command.Try("env", [.. PreloadLibrary.Environment(server.Path), "ip", "xfrm", "state", "count"]);

        Assert.NotEqual(0, other.ExitCode);
        Assert.Equal(1, server.Server.Counters.TooMany);
    }

    [Fact]
    public void Clients_ManyBeyondTheLimit_AreAllTold()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 1 });
        using var one = server.Connect();
        one.DumpSas();

        // More than may wait to be refused: the first of them are told before they ask.
        var others = Enumerable.Range(0, 100).Select(_ => server.Connect()).ToArray();
        Wait.Until(() => server.Server.Counters.TooMany == others.Length, "all are there");
        Assert.Single(server.Log, line => line.Contains("clients already", StringComparison.Ordinal));
        foreach (var other in others)
        {
            Assert.Equal(LinuxError.Busy, Assert.Throws<XfrmException>(() => other.DumpSas()).Error);
            other.Dispose();
        }

        // And while they ask, so that a question may meet the refusal on its way.
        Parallel.For(0, 400, _ =>
        {
            using var another = server.Connect();
            Assert.Equal(LinuxError.Busy, Assert.Throws<XfrmException>(() => another.DumpSas()).Error);
        });
        Assert.Empty(one.DumpSas());
    }

    [Fact]
    public void Client_BeyondTheLimitThatSendsMuchAtOnce_ReadsTheReasonFirst()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumClients = 1 });
        using var one = server.Connect();
        one.DumpSas();
        for (int round = 0; round < 100; round++)
        {
            using var hasty = UnixConnection.Connect(server.Path);
            for (int request = 0; request < 10 && hasty.Send(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)) == 0; request++)
            {
            }

            Assert.Equal(LinuxError.Busy, Next(hasty).Errno);
        }
    }
}
