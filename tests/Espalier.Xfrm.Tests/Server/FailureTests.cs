using Espalier.Io.UnixSockets;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using Espalier.Xfrm.Server;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>What a failure inside the server does: it is the client's that met it, and nobody else's. That the control thread goes on, the harness asserts at its end.</summary>
public sealed class FailureTests
{
    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(40, false)]
    [InlineData(40, true)]
    public void Dump_ThatFails_EndsWithAnError(int partsBefore, bool attached)
    {
        using var server = new ServerHarness();
        server.OnLoop(() => Fill(server.Database, partsBefore));
        using var direct = attached ? null : UnixConnection.Connect(server.Path);
        using var socket = attached ? new AttachedSocket(server) : null;
        var asker = direct ?? socket!.Own;

        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(0, asker.Send(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)));
            var answers = new List<Parsed>();
            byte[] buffer = new byte[32 * 1024];
            do
            {
                Assert.True(asker.WaitReadable(10_000), "the dump does not end");
                answers.AddRange(Parsed.All(buffer[..asker.Receive(buffer).Length]));
            }
            while (answers[^1].Type != Netlink.Done);

            Assert.InRange(answers.Count, partsBefore, 2 * partsBefore + 1);
            Assert.Equal(LinuxError.InputOutput, answers[^1].Errno);
        }

        Assert.Equal(2, server.Log.Count(line => line.StartsWith("3009 ", StringComparison.Ordinal)));
        using var other = server.Connect();
        Assert.Empty(other.DumpPolicies());
    }

    [Fact]
    public void Statistics_ThatFail_AreRefused()
    {
        using var server = new ServerHarness();
        server.Server.Statistics = () => throw new InvalidOperationException("a bug");
        using var client = server.Connect();

        var refused = Assert.Throws<XfrmException>(() => client.Stat());

        Assert.Equal(LinuxError.InputOutput, refused.Error);
        Assert.Single(server.Log, line => line.StartsWith("3005 ", StringComparison.Ordinal));
        Assert.Empty(client.DumpSas());
    }

    // The message that meets the bug is answered, by its own sequence number; those before and behind it are handled.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Request_ThatFailsAmongOthers_IsRefusedAlone(bool attached)
    {
        using var server = new ServerHarness();
        int changes = 0;
        server.Server.Changed = () =>
        {
            if (++changes == 2)
            {
                throw new InvalidOperationException("a bug");
            }
        };
        using var direct = attached ? null : UnixConnection.Connect(server.Path);
        using var socket = attached ? new AttachedSocket(server) : null;
        var asker = direct ?? socket!.Own;

        byte[] datagram = [.. Numbered(7), .. Numbered(8), .. Numbered(9)];
        Assert.Equal(0, asker.Send(datagram));

        foreach (var (number, errno) in new[] { (7u, 0), (8u, LinuxError.InputOutput), (9u, 0) })
        {
            var answer = Next(asker);
            Assert.Equal((number, errno), (answer.Sequence, answer.Errno));
        }

        if (socket is not null)
        {
            var done = Next(socket.Lease);
            Assert.Equal([0, 0, LinuxError.InputOutput, 0], System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(done.Payload).ToArray());
        }

        Assert.Single(server.Log, line => line.StartsWith("3005 ", StringComparison.Ordinal));
        using var other = server.Connect();
        Assert.Equal(3, other.DumpPolicies().Count);
    }

    // Bytes that are no message meet nothing; the client goes on.
    [Fact]
    public void Attached_DatagramThatIsShorterThanAHeader_IsOnlyDone()
    {
        using var server = new ServerHarness();
        using var socket = new AttachedSocket(server);
        for (int length = 1; length < NetlinkHeader.Size; length++)
        {
            Assert.Equal(0, socket.Own.Send(new byte[length]));
            Assert.Equal(0, BitConverter.ToInt32(Next(socket.Lease).Payload));
        }

        Assert.DoesNotContain(server.Log, line => line.StartsWith("3005 ", StringComparison.Ordinal));
    }

    // What is said on the lease has no bound but the client's patience: who never reads it is cut off.
    [Fact]
    public void Attached_LeaseThatIsNeverRead_IsCutOff()
    {
        using var server = new ServerHarness(new ControlServerOptions { Path = Unused(), MaximumQueuedBytes = 20_000 });
        using var socket = new AttachedSocket(server);
        using var other = server.Connect();
        byte[] quiet = Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump);
        long most = 0;
        byte[] buffer = new byte[32 * 1024];
        int sent = 0;
        Wait.Until(() => server.Server.Counters.Clients == 2, "both are accepted");
        for (long end = Environment.TickCount64 + 30_000; sent < 20_000 && server.Server.Counters.Clients != 1 && Environment.TickCount64 < end;)
        {
            // A full queue (net.unix.max_dgram_qlen, 10 by default) takes no more until the server has been at it.
            bool isTaken = socket.Own.Send(quiet) == 0;
            sent += isTaken ? 1 : 0;
            while (socket.Own.Receive(buffer).Outcome == UnixReceiveOutcome.Message)
            {
            }

            if (isTaken && sent % 100 == 0)
            {
                other.DumpSas();
                most = Math.Max(most, server.OnLoop(() => server.Server.WaitingBytes));
            }
        }

        Wait.Until(() => server.Server.Counters.Clients == 1, $"it is cut off after {sent} requests");
        Assert.InRange(most, 0, 21_000);
    }

    private static byte[] Numbered(uint sequence)
    {
        byte[] request = Request.NewPolicy($"10.{sequence}.0.0/16");
        BitConverter.TryWriteBytes(request.AsSpan(8), sequence);
        return request;
    }

    // An SA that no request can make: its key does not fit in any datagram.
    private static bool Fill(IpsecDatabase database, int before)
    {
        using (database.Freeze())
        {
            bool added = database.Sad.TryAdd(Make(0x100, 10_000));
            for (uint i = 0; i < before; i++)
            {
                added &= database.Sad.TryAdd(Make(0x1000 + i, 3000));
            }

            return added;
        }
    }

    private static SecurityAssociation Make(uint spi, int keyLength) => new()
    {
        Id = new SaIdentity(new Spi(spi), InternetAddress.Parse("192.0.2.2")),
        Source = InternetAddress.Parse("192.0.2.1"),
        Algorithms = [new AlgorithmSpec(AlgorithmKind.Encryption, "cbc(aes)", new byte[keyLength], 0)],
    };
}
