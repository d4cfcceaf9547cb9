using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>Which outer sockets are open, by the SAs.</summary>
public sealed class SocketDemandTests
{
    private static SecurityAssociation Association(TestHost host, uint spi, string source, string destination, UdpEncapsulation? encapsulation)
    {
        var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Ipsec.Spi(spi), InternetAddress.Parse(destination)),
            Source = InternetAddress.Parse(source),
            State = SaState.Valid,
            Encapsulation = encapsulation,
            Transform = Suite.Gcm.Transform(false),
        };
        using var frozen = host.Database.Freeze();
        string? error = host.Database.Admission!(association);
        Assert.True(error is null, error);
        Assert.True(host.Database.Sad.TryAdd(association));
        return association;
    }

    private static void Remove(TestHost host, SecurityAssociation association)
    {
        using var frozen = host.Database.Freeze();
        Assert.True(host.Database.Sad.Remove(association));
    }

    private static TestHost Host()
    {
        var host = new TestHost();
        host.Local.Addresses.Add(InternetAddress.Parse("192.0.2.1"));
        return host;
    }

    private static IEnumerable<(IpVersion, ushort)> Open(TestHost host) =>
        host.Sockets.Current.Sockets.Select(socket => (socket.Version, socket.LocalPort));

    [Fact]
    public void InboundSa_OpensItsDestinationPort_OutboundItsSourcePort()
    {
        using var host = Host();
        var inbound = Association(host, 0x100, "192.0.2.9", "192.0.2.1", new UdpEncapsulation(7001, 7002, default));
        var outbound = Association(host, 0x101, "192.0.2.1", "192.0.2.9", new UdpEncapsulation(7003, 7004, default));
        var raw = Association(host, 0x102, "2001:db8::1", "2001:db8::9", null);
        Assert.Equal([(IpVersion.IPv4, 7002), (IpVersion.IPv4, 7003), (IpVersion.IPv6, 0)], Open(host));
        Remove(host, inbound);
        Assert.Equal([(IpVersion.IPv4, 7003), (IpVersion.IPv6, 0)], Open(host));
        Remove(host, raw);
        Remove(host, outbound);
        Assert.Empty(Open(host));
    }

    [Fact]
    public void Socket_SharedByTwoSas_StaysUntilTheLast()
    {
        using var host = Host();
        var first = Association(host, 0x100, "192.0.2.1", "192.0.2.9", new UdpEncapsulation(4500, 4500, default));
        var second = Association(host, 0x101, "192.0.2.1", "192.0.2.8", new UdpEncapsulation(4500, 4500, default));
        Remove(host, first);
        Assert.Single(Open(host));
        Remove(host, second);
        Assert.Empty(Open(host));
    }

    [Fact]
    public void Socket_OpenedAtStart_Stays()
    {
        using var host = Host();
        Assert.Null(host.Demand.OpenPermanent(IpVersion.IPv4, 4500));
        Remove(host, Association(host, 0x100, "192.0.2.1", "192.0.2.9", new UdpEncapsulation(4500, 4500, default)));
        Assert.Single(Open(host));
    }

    [Fact]
    public void Socket_Retired_ClosedOnlyByItsWorker()
    {
        using var host = Host();
        Remove(host, Association(host, 0x100, "192.0.2.1", "192.0.2.9", new UdpEncapsulation(4500, 4500, default)));
        var socket = Assert.Single(host.Network.Sockets);
        Assert.False(socket.IsDisposed);
        host.Sockets.DisposeRetired(worker: 0);
        Assert.True(socket.IsDisposed);
    }

    [Fact]
    public void Port_TakenByOthers_RefusedWithAReason()
    {
        using var host = Host();
        host.Network.Taken.Add(4501);
        var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Ipsec.Spi(0x100), InternetAddress.Parse("192.0.2.9")),
            Source = InternetAddress.Parse("192.0.2.1"),
            State = SaState.Valid,
            Encapsulation = new UdpEncapsulation(4501, 4500, default),
            Transform = Suite.Gcm.Transform(false),
        };
        using var frozen = host.Database.Freeze();
        Assert.Equal("UDP port 4501 is taken", host.Database.Admission!(association));
        Assert.Empty(Open(host));

        // Added all the same: told to whoever listens.
        string? told = null;
        host.Demand.Failed = (_, error) => told = error;
        Assert.True(host.Database.Sad.TryAdd(association));
        Assert.Equal("UDP port 4501 is taken", told);
    }

    [Fact]
    public void LarvalSa_OpensNothing()
    {
        using var host = Host();
        var larval = new SecurityAssociation
        {
            Id = new SaIdentity(new Ipsec.Spi(0x100), InternetAddress.Parse("192.0.2.1")),
            Source = InternetAddress.Parse("192.0.2.9"),
        };
        using var frozen = host.Database.Freeze();
        Assert.Null(host.Database.Admission!(larval));
        Assert.True(host.Database.Sad.TryAdd(larval));
        Assert.Empty(Open(host));
    }

    [Fact]
    public void Ports_ChangedByUpdate_SocketFollows()
    {
        using var host = Host();
        var association = Association(host, 0x100, "192.0.2.1", "192.0.2.9", new UdpEncapsulation(7001, 4500, default));
        using (host.Database.Freeze())
        {
            association.Encapsulation = new UdpEncapsulation(7002, 4500, default);
            Assert.Null(host.Database.Admission!(association));
        }

        Assert.Equal([(IpVersion.IPv4, 7002)], Open(host));
        Remove(host, association);
        Assert.Empty(Open(host));
    }

    // An SA between two addresses of this host needs two ports.
    [Fact]
    public void SecondPort_Refused_FirstIsNotKept()
    {
        using var host = Host();
        host.Local.Addresses.Add(InternetAddress.Parse("192.0.2.2"));
        host.Network.Taken.Add(4501);
        using var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Ipsec.Spi(0x100), InternetAddress.Parse("192.0.2.2")),
            Source = InternetAddress.Parse("192.0.2.1"),
            State = SaState.Valid,
            Encapsulation = new UdpEncapsulation(4501, 4502, default),
            Transform = Suite.Gcm.Transform(false),
        };
        using var frozen = host.Database.Freeze();

        Assert.Equal("UDP port 4501 is taken", host.Database.Admission!(association));

        Assert.Empty(Open(host));
    }

    [Fact]
    public void InboundSa_AddedBeforeItsAddress_IsReceivedOnceThatIsThere()
    {
        using var host = new TestHost();
        var association = Association(host, 0x100, "192.0.2.9", "192.0.2.1", new UdpEncapsulation(7001, 7002, default));
        Assert.Equal([(IpVersion.IPv4, 7001)], Open(host));

        host.Local.Addresses.Add(InternetAddress.Parse("192.0.2.1"));
        using (host.Database.Freeze())
        {
            host.Demand.FollowAddresses();
        }

        Assert.Equal([(IpVersion.IPv4, 7002)], Open(host));
        Remove(host, association);
        Assert.Empty(Open(host));
    }

    [Theory]
    [InlineData(SecurityAssociation.DirectionIn, 7002)]
    [InlineData(SecurityAssociation.DirectionOut, 7001)]
    public void Sa_WithADirection_NeedsItsPortWhateverTheAddresses(byte direction, int port)
    {
        using var host = Host();
        using var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Ipsec.Spi(0x100), InternetAddress.Parse("192.0.2.8")),
            Source = InternetAddress.Parse("192.0.2.9"),
            State = SaState.Valid,
            Encapsulation = new UdpEncapsulation(7001, 7002, default),
            Transform = Suite.Gcm.Transform(false),
            SaDirection = direction,
        };
        using var frozen = host.Database.Freeze();

        Assert.Null(host.Database.Admission!(association));

        Assert.Equal([(IpVersion.IPv4, (ushort)port)], Open(host));
    }
}
