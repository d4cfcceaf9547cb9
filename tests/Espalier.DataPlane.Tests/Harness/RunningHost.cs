using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.InMemory;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>One data plane with its threads; <see cref="Outside"/> plays the kernel behind its TUN.</summary>
internal sealed class RunningHost : IDisposable
{
    private readonly SocketPairTunnelDevice _inside;
    private readonly DiagnosticBatchPool _pool = new();
    private readonly PacketBatch _batch = new(1, 4096, 0);

    public RunningHost(string address, ushort port)
    {
        Port = port;
        (_inside, Outside) = SocketPairTunnelDevice.CreatePair();
        var local = new LocalAddressSet();
        local.Addresses.Add(InternetAddress.Parse(address));
        local.Addresses.Add(InternetAddress.Parse(address == "127.0.0.1" ? RunningPair.Near : RunningPair.Far));
        Host = new DataPlaneHost(
            Database, new DataPlaneDevices(_inside, new KernelOuterSocketFactory(0), null, null), local,
            new DataPlaneOptions { EncapsulationPorts = [port], Versions = [IpVersion.IPv4] }, _pool);
    }

    public ushort Port { get; }

    public IpsecDatabase Database { get; } = new();

    public SocketPairTunnelDevice Outside { get; }

    public DataPlaneHost Host { get; }

    public SecurityAssociation AddSa(uint spi, string source, ushort sourcePort, string destination, ushort destinationPort)
    {
        var association = Suite.Gcm.Association(spi, InternetAddress.Parse(source), sourcePort, InternetAddress.Parse(destination), destinationPort);
        using var frozen = Database.Freeze();
        Assert.Null(Database.Admission?.Invoke(association));
        Assert.True(Database.Sad.TryAdd(association));
        return association;
    }

    public void AddPolicies(string own, string other, string ownOuter, string otherOuter)
    {
        using var frozen = Database.Freeze();
        Assert.True(Database.Spd.TryAdd(Pair.Policy(own, other, PolicyDirection.Out, Template(ownOuter, otherOuter))));
        Assert.True(Database.Spd.TryAdd(Pair.Policy(other, own, PolicyDirection.In, Template(otherOuter, ownOuter))));
        Assert.True(Database.Spd.TryAdd(Pair.Policy(other, own, PolicyDirection.Forward, Template(otherOuter, ownOuter))));
    }

    public void Send(byte[] packet) => Wait.Until(() => Outside.Send(packet) == 0, "the TUN takes a packet");

    public byte[]? TryReceive() => Outside.Receive(_batch) > 0 ? _batch.Packet(0).ToArray() : null;

    public byte[] Receive()
    {
        byte[]? packet = null;
        Wait.Until(() => (packet = TryReceive()) is not null, "a packet comes out of the tunnel");
        return packet!;
    }

    public void Dispose()
    {
        Host.Dispose();
        _pool.AssertAllReturnedAndUntouched();
        _inside.Dispose();
        Outside.Dispose();
    }

    private static PolicyTemplate Template(string source, string destination) =>
        new(InternetAddress.Parse(source), InternetAddress.Parse(destination), default, 1, IpsecMode.Tunnel, 50, false, IpVersion.IPv4, 0,
            uint.MaxValue, uint.MaxValue, uint.MaxValue);
}
