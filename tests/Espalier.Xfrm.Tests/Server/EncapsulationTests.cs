using System.Net;
using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>ENCAP: the ports of IKE daemons, whose they are, and how long.</summary>
public sealed class EncapsulationTests
{
    private const ushort Unspecified = 0, IPv4 = 2, IPv6 = 10;

    [Theory]
    [InlineData(IPv4, "0.0.0.0", "0.0.0.0")]
    [InlineData(IPv4, "192.0.2.1", "192.0.2.1")]
    [InlineData(IPv6, "::", "::")]
    [InlineData(IPv6, "2001:db8::1", "2001:db8::1")]
    [InlineData(Unspecified, "::", "0.0.0.0 ::")]
    public void Open_ThenClose_ReachesThePorts(ushort family, string address, string expected)
    {
        var ports = new RecordedPorts();
        using var server = Start(ports);
        using var client = UnixConnection.Connect(server.Path);

        Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Open, family, 4500, address)).Errno);
        Assert.Equal(expected.Split(' ').Select(a => (InternetAddress.Parse(a), (ushort)4500)), ports.Held);
        Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Open, family, 4500, address)).Errno);
        Assert.Equal(expected.Split(' ').Length, ports.Opened);

        Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Close, family, 4500, address)).Errno);
        Assert.Empty(ports.Held);
        Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Close, family, 4500, address)).Errno);
    }

    [Fact]
    public void Client_Gone_GivesUpWhatOnlyItHad()
    {
        var ports = new RecordedPorts();
        using var server = Start(ports);
        var first = UnixConnection.Connect(server.Path);
        var second = UnixConnection.Connect(server.Path);
        Assert.Equal(0, Ask(first, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
        Assert.Equal(0, Ask(second, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
        Assert.Equal(0, Ask(second, Encap(EncapsulationOperation.Open, IPv4, 4501, "0.0.0.0")).Errno);
        Assert.Equal(2, ports.Opened);

        second.Dispose();
        Wait.Until(() => server.Server.Counters.Clients == 1, "the second client is gone");
        Assert.Equal([(InternetAddress.AnyIPv4, 4500)], server.OnLoop(() => ports.Held.ToArray()));

        first.Dispose();
        Wait.Until(() => server.Server.Counters.Clients == 0, "the first client is gone");
        Assert.Empty(server.OnLoop(() => ports.Held.ToArray()));
    }

    [Fact]
    public void Open_Refused_SaysWhyAndLeavesNothing()
    {
        var ports = new RecordedPorts { Refuses = IpVersion.IPv6 };
        using var server = Start(ports);
        using var client = UnixConnection.Connect(server.Path);

        var answer = Ask(client, Encap(EncapsulationOperation.Open, Unspecified, 4500, "::"));

        Assert.Equal((LinuxError.AddressInUse, RecordedPorts.Reason), (answer.Errno, answer.Text));
        Assert.Empty(ports.Held);
        Assert.Single(server.Log, line => line.StartsWith("3007", StringComparison.Ordinal));
        Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
    }

    [Fact]
    public void Open_WithoutDataPlane_IsNotSupported()
    {
        using var server = new ServerHarness();
        using var client = UnixConnection.Connect(server.Path);

        Assert.Equal(LinuxError.NotSupported, Ask(client, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
    }

    [Theory]
    [InlineData(IPv4, 4500, "192.0.2.1", LinuxError.AddressInUse)]
    [InlineData(IPv4, 4500, "0.0.0.0", LinuxError.AddressInUse)]
    [InlineData(Unspecified, 4500, "::", LinuxError.AddressInUse)]
    [InlineData(IPv4, 4500, "192.0.2.2", 0)]
    [InlineData(IPv4, 4501, "192.0.2.1", 0)]
    [InlineData(IPv6, 4500, "::", 0)]
    public void MayShare_OnlyWhatNoClientHas(ushort family, ushort port, string address, int expected)
    {
        var ports = new RecordedPorts();
        using var server = Start(ports);
        using var daemon = UnixConnection.Connect(server.Path);
        using var other = UnixConnection.Connect(server.Path);
        Assert.Equal(0, Ask(daemon, Encap(EncapsulationOperation.Open, IPv4, 4500, "192.0.2.1")).Errno);

        var answer = Ask(other, Encap(EncapsulationOperation.MayShare, family, port, address));

        Assert.Equal((expected, expected != 0), (answer.Errno, answer.Text is not null));
        Assert.Equal(expected == 0 ? [(InternetAddress.Parse(address), port)] : [], server.OnLoop(() => ports.Admitted.ToArray()));
    }

    [Theory]
    [InlineData(1, IPv4, 0)]
    [InlineData(1, 7, 4500)]
    [InlineData(3, IPv4, 4500)]
    public void Nonsense_IsInvalid(uint operation, ushort family, ushort port)
    {
        using var server = Start(new RecordedPorts());
        using var client = UnixConnection.Connect(server.Path);

        var answer = Ask(client, Encap((EncapsulationOperation)operation, family, port, "0.0.0.0"));

        Assert.Equal((LinuxError.Invalid, true), (answer.Errno, answer.Text is not null));
        Assert.Equal(LinuxError.Invalid, Ask(client, Private(ControlMessage.Encapsulation, 1, 2, 3, 4, 5)).Errno);
        Assert.Equal(LinuxError.NotSupported, Ask(client, Encap(EncapsulationOperation.Open, IPv6, 4500, "::ffff:192.0.2.1")).Errno);
    }

    [Fact]
    public void Ports_OfOneClient_AreBounded()
    {
        var ports = new RecordedPorts();
        using var server = Start(ports);
        using var client = UnixConnection.Connect(server.Path);
        using var other = UnixConnection.Connect(server.Path);
        for (ushort port = 1; port <= EncapsulationRegistry.MaximumOfClient; port++)
        {
            Assert.Equal(0, Ask(client, Encap(EncapsulationOperation.Open, IPv4, port, "0.0.0.0")).Errno);
        }

        Assert.Equal(LinuxError.NoBuffers, Ask(client, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
        Assert.Equal(0, Ask(other, Encap(EncapsulationOperation.Open, IPv4, 4500, "0.0.0.0")).Errno);
        Assert.Equal(EncapsulationRegistry.MaximumOfClient + 1, ports.Held.Count);
    }

    [Fact]
    public void RandomMessages_KeepPortsAndClientsInStep()
    {
        var ports = new RecordedPorts();
        using var server = Start(ports);
        var random = new Random(5);
        UnixConnection[] clients = [.. Enumerable.Range(0, 3).Select(_ => UnixConnection.Connect(server.Path))];
        var model = clients.Select(_ => new HashSet<(InternetAddress Address, ushort Port)>()).ToArray();
        for (int i = 0; i < 3000; i++)
        {
            int who = random.Next(clients.Length);
            if (random.Next(50) == 0)
            {
                clients[who].Dispose();
                Wait.Until(() => server.Server.Counters.Clients == clients.Length - 1, "the client is gone");
                clients[who] = UnixConnection.Connect(server.Path);
                model[who].Clear();
                Assert.Equal(0, Ask(clients[who], Attach()).Errno);
            }

            uint operation = (uint)random.Next(4);
            ushort family = (ushort)(random.Next(3) == 0 ? random.Next(12) : random.Next(2) == 0 ? IPv4 : IPv6);
            ushort port = (ushort)random.Next(5);
            byte[] message = Encap((EncapsulationOperation)operation, family, port, family == IPv4 ? "192.0.2.1" : "2001:db8::1");
            int errno = Ask(clients[who], random.Next(20) == 0 ? message[..random.Next(16, message.Length)].WithLength() : message).Errno;
            if (errno == 0 && operation <= 1)
            {
                foreach (string address in family == IPv4 ? ["192.0.2.1"] : family == IPv6 ? ["2001:db8::1"] : (string[])["0.0.0.0", "::"])
                {
                    _ = operation == 1 ? model[who].Add((InternetAddress.Parse(address), port)) : model[who].Remove((InternetAddress.Parse(address), port));
                }
            }

            Assert.Equal(model.SelectMany(m => m).ToHashSet(), server.OnLoop(() => ports.Held.ToHashSet()));
        }

        Assert.DoesNotContain(server.Log, line => line.StartsWith("3005", StringComparison.Ordinal));
        Array.ForEach(clients, client => client.Dispose());
        Wait.Until(() => server.Server.Counters.Clients == 0, "all are gone");
        Assert.Empty(ports.Held);
    }

    private static ServerHarness Start(RecordedPorts ports)
    {
        var server = new ServerHarness();
        server.OnLoop(() => server.Server.EncapsulationPorts = ports);
        return server;
    }

    private static byte[] Encap(EncapsulationOperation operation, ushort family, ushort port, string address)
    {
        byte[] padded = [.. IPAddress.Parse(address).GetAddressBytes(), .. new byte[12]];
        uint familyAndPort = family | (uint)XfrmConversions.Swap(port) << 16;
        return Private(ControlMessage.Encapsulation, [(uint)operation, familyAndPort, .. Enumerable.Range(0, 4).Select(i => BitConverter.ToUInt32(padded, 4 * i))]);
    }
}
