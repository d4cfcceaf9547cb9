using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.DataPlane.Tests.Harness.SharedPortHost;

namespace Espalier.DataPlane.Tests;

/// <summary>Who holds a port: programs, data planes, and IKE daemons that were admitted. The host is drawn at <see cref="SharedPortHost"/>.</summary>
public sealed class PortOwnershipTests
{
    [Fact]
    public void EncapsulationPort_OfADaemonsAddress_IsHeldAsOftenAsOpened()
    {
        var (local, remote) = (InternetAddress.Parse("10.44.0.11"), InternetAddress.Parse("10.45.0.2"));
        using var host = new SharedPortHost().Start();
        int before = host.DataPlane.Sockets.Count;
        using var daemon = host.Daemon(local, 4501);
        Assert.Null(host.Host.Run(() => host.DataPlane.OpenEncapsulationPort(local, 4501)));

        // A sender, a receiver on all addresses and one on this one.
        Assert.Equal(before + 3, host.DataPlane.Sockets.Count);
        host.DataPlane.CloseEncapsulationPort(local, 4501);
        host.AddSa(0x1000, remote, local, destinationPort: 4501);
        using (var peer = host.Outside.Run(() => new DaemonSocket(remote, Port)))
        {
            peer.Send(Esp(0x1000, 1), local, 4501);
            host.Expect(TrafficCounter.InboundPackets, 1);
        }

        host.DataPlane.CloseEncapsulationPort(local, 4501);
        host.DataPlane.CloseEncapsulationPort(local, 4501);
        Assert.Equal(before + 2, host.DataPlane.Sockets.Count);
        Assert.NotNull(host.DataPlane.OpenEncapsulationPort(default, 4501));
        Assert.NotNull(host.DataPlane.OpenEncapsulationPort(local, 0));
    }

    [Fact]
    public void Port_WithoutAdmission_IsTakenByNoOtherProgram()
    {
        using var host = new SharedPortHost().Start();
        foreach (string address in new[] { "0.0.0.0", "10.44.0.11", "::", "fd44::11" })
        {
            Refused(address);
        }

        host.DataPlane.AdmitDaemon(InternetAddress.AnyIPv4, Port);
        Refused("::");
        host.Host.Run(() => new DaemonSocket(InternetAddress.AnyIPv4, Port)).Dispose();
        host.DataPlane.AgeAdmissions();
        host.Host.Run(() => new DaemonSocket(InternetAddress.AnyIPv4, Port)).Dispose();
        host.DataPlane.AgeAdmissions();
        Refused("0.0.0.0");

        // Also with the daemon there, and after interfaces and addresses of our own were bound beside.
        using var daemon = host.Daemon(InternetAddress.AnyIPv4);
        Refused("0.0.0.0");
        host.Host.LinkTo(host.Outside, "late", ["10.46.0.1/24"], ["10.46.0.2/24"]);
        host.FollowInterfaces();
        Refused("0.0.0.0");
        Assert.Null(host.Host.Run(() => host.DataPlane.OpenEncapsulationPort(InternetAddress.Parse("10.44.0.1"), Port)));
        Refused("0.0.0.0");
        Assert.Empty(host.DataPlane.SocketProblems);

        void Refused(string address) => Assert.Equal(
            Errno.EADDRINUSE, Assert.Throws<DeviceException>(() => host.Host.Run(() => new DaemonSocket(InternetAddress.Parse(address), Port))).Error);
    }

    [Fact]
    public void Port_OfAnotherDataPlane_IsRefused()
    {
        using var host = new SharedPortHost().Start();
        string? error = null;
        Assert.False(host.Host.Run(() => host.Sockets.TryOpen(IpVersion.IPv4, Port, out _, out error)));
        Assert.Contains("4500", error, StringComparison.Ordinal);
        host.DataPlane.Dispose();
        Assert.True(host.Host.Run(() =>
        {
            bool opened = host.Sockets.TryOpen(IpVersion.IPv4, Port, out var socket, out _);
            socket?.Dispose();
            return opened;
        }));
    }

    [Fact]
    public void Port_OfAProgramThatDoesNotShare_SaysSoInOneLine()
    {
        using var host = new SharedPortHost();
        using var other = host.Host.Run(() => new DaemonSocket(InternetAddress.AnyIPv4, Port, reuse: false));
        host.FollowInterfaces();
        var refusal = Assert.Throws<DeviceException>(() => host.Host.Run(host.DataPlane.Start));
        Assert.Contains("4500", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }
}
