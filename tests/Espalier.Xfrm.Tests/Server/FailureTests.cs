using Espalier.Io.UnixSockets;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
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
        for (int i = 0; i < 20_000 && server.Server.Counters.Clients != 1; i++)
        {
            socket.Own.Send(quiet);
            while (socket.Own.Receive(buffer).Outcome == UnixReceiveOutcome.Message)
            {
            }

            if (i % 100 == 0)
            {
                other.DumpSas();
                most = Math.Max(most, server.OnLoop(() => server.Server.WaitingBytes));
            }
        }

        ServerHarness.Until(() => server.Server.Counters.Clients == 1, "it is cut off");
        Assert.InRange(most, 0, 21_000);
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
