using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Io.Interop;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// The published daemon beside an IKE daemon's socket, with its own rules, guard and strict reverse path filtering.
/// <code>
///   peer 192.168.0.1, fec0::1 ──eth0── host 192.168.0.2, fec0::2: espalier, the IKE daemon's sockets on port 4500
/// </code>
/// </summary>
public sealed class SharedPortTests : IDisposable
{
    private const ushort Port = 4500;
    private readonly NetworkNamespace _peer = NetworkNamespace.Create("peer");
    private readonly NetworkNamespace _host = NetworkNamespace.Create("host");
    private readonly List<IDisposable> _open = [];

    public SharedPortTests() => _peer.LinkTo(_host, "eth0", ["192.168.0.1/24", "fec0::1/64"], ["192.168.0.2/24", "fec0::2/64"]);

    public void Dispose()
    {
        _open.Reverse();
        _open.ForEach(one => one.Dispose());
        _peer.Dispose();
        _host.Dispose();
    }

    [Theory]
    [InlineData("192.168.0.1", "192.168.0.2")]
    [InlineData("fec0::1", "fec0::2")]
    public void Run_BesideADaemon_IkeAndItsErrorsReachIt(string peerAddress, string hostAddress)
    {
        Requirements.Need("nft");
        var (remote, local) = (InternetAddress.Parse(peerAddress), InternetAddress.Parse(hostAddress));
        foreach (string device in new[] { "all", "lo", "eth0" })
        {
            _host.Sysctl($"ipv4/conf/{device}/rp_filter", "1");
        }

        var daemon = Open(_host, () => new DaemonSocket(new InternetAddress(local.Version, UInt128.Zero), Port));
        var espalier = EspalierProgram.Start(_host);
        _open.Add(espalier);
        Protect(espalier);
        var peer = Open(_peer, () => new DaemonSocket(remote, Port));
        foreach (int length in new[] { 100, 1400, 5000 })
        {
            byte[] ike = [0, 0, 0, 0, .. Enumerable.Range(0, length).Select(i => (byte)i)];
            peer.Send(ike, local, Port);
            var message = daemon.Receive();
            Assert.Equal(ike, message?.Payload);
            Assert.Equal((remote, Port, local), (message!.Remote, message.RemotePort, message.Local));
        }

        daemon.SetMark(0x4550);
        daemon.Send(new byte[100], remote, 9);
        Assert.Equal((remote, (ushort)9, Errno.ECONNREFUSED), daemon.ReceiveError() is { } e ? (e.Error.Remote, e.Error.RemotePort, e.Error.Errno) : default);
        Assert.Equal((3, 1), Relayed(espalier));
        Assert.Contains("IKE, to its daemon", _host.Exec(EspalierProgram.Path, "stat", "--control", espalier.Control), StringComparison.Ordinal);

        // Without Espalier the daemon goes on.
        espalier.Kill();
        peer.Send(new byte[64], local, Port);
        Assert.Equal(64, daemon.Receive()?.Payload.Length);
    }

    [Fact]
    public void Run_InterfaceAddedLater_IsFollowed()
    {
        Requirements.Need();
        var espalier = EspalierProgram.Start(_host, "--no-udp-gro");
        _open.Add(espalier);
        _peer.LinkTo(_host, "eth1", ["192.168.9.1/24"], ["192.168.9.2/24"]);
        var peer = Open(_peer, () => new DaemonSocket(InternetAddress.Parse("192.168.9.1"), Port));
        Wait.Until(
            () =>
            {
                peer.Send(new byte[100], InternetAddress.Parse("192.168.9.2"), Port);
                return Relayed(espalier).Messages != 0;
            },
            "what the new interface receives is relayed");
        Assert.DoesNotContain(espalier.Stat()["notes"]!.AsArray(), note => note!.ToString().Contains("received", StringComparison.Ordinal));
    }

    private static (long Messages, long Errors) Relayed(EspalierProgram espalier)
    {
        var traffic = espalier.Stat()["traffic"]!;
        return ((long)traffic["ikeRelayed"]!, (long)traffic["ikeErrorsRelayed"]!);
    }

    private static void Protect(EspalierProgram espalier)
    {
        espalier.Exec($"ip xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x100 reqid 1 mode tunnel aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128").Expect();
        espalier.Exec("ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir in tmpl src 192.168.0.1 dst 192.168.0.2 proto esp reqid 1 mode tunnel").Expect();
        espalier.Exec("ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out tmpl src 192.168.0.2 dst 192.168.0.1 proto esp reqid 1 mode tunnel").Expect();
    }

    private DaemonSocket Open(NetworkNamespace where, Func<DaemonSocket> open)
    {
        var socket = where.Run(open);
        _open.Add(socket);
        return socket;
    }
}
