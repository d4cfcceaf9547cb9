using Espalier.Io.UnixSockets;
using static Espalier.Xfrm.Tests.Server.ControlSocket;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>What the preload library makes of an XFRM socket: a lease, and a pair of which the data plane has one end.</summary>
internal sealed class AttachedSocket : IDisposable
{
    public AttachedSocket(ServerHarness server)
    {
        Lease = UnixConnection.Connect(server.Path);
        (Own, Given) = UnixConnection.Pair(datagram: true);
        Assert.Equal(0, Lease.Send(Attach(), Given.Descriptor));
        Assert.Equal(0, Next(Lease).Errno);
    }

    public UnixConnection Lease { get; }

    /// <summary>The program's end.</summary>
    public UnixConnection Own { get; }

    /// <summary>The end that was given away.</summary>
    public UnixConnection Given { get; }

    public void Deconstruct(out UnixConnection lease, out UnixConnection own, out UnixConnection given) => (lease, own, given) = (Lease, Own, Given);

    public void Dispose()
    {
        Lease.Dispose();
        Own.Dispose();
        Given.Dispose();
    }
}
