using Espalier.Testing;

namespace Espalier.Io.Tests.Tun;

/// <summary>
/// A host that forwards between two TUNs, so that the kernel handles on the way what is written to the one and comes out of the other.
/// <code>
/// the test ── in0 ── 10.0.0.0/24, fd78:0:0:1::/64 ── the host forwards ── 10.0.1.0/24, fd78:0:0:2::/63 ── out0 ── the test
///                                                     (TTL less 1)
/// </code>
/// </summary>
internal sealed class ForwardingHost : IDisposable
{
    private readonly NetworkNamespace _host;

    /// <summary>Makes both TUNs.</summary>
    /// <param name="inFlags">More flags of TUNSETIFF for in0.</param>
    /// <param name="outOffloads">What the kernel may leave unfinished at out0: 0, or <see cref="VnetTun.AllOffloads"/>.</param>
    internal ForwardingHost(short inFlags, uint outOffloads)
    {
        Requirement.Tun();
        _host = NetworkNamespace.Create("gso");
        HasUso = VnetTun.HasUso(_host);
        Assert.SkipUnless(HasUso || outOffloads == 0, "needs USO (Linux 6.2)");
        In = _host.Run(() => new VnetTun("in0", 0, inFlags));
        Out = _host.Run(() => new VnetTun("out0", outOffloads));
        _host.Sysctl("ipv4/ip_forward", "1");
        _host.Sysctl("ipv6/conf/all/forwarding", "1");
        _host.Sysctl("ipv4/conf/all/rp_filter", "0");
        Up("in0", "10.0.0.0/24", "fd78:0:0:1::/64");
        Up("out0", "10.0.1.0/24", "fd78:0:0:2::/63");
    }

    /// <summary>True where the kernel has USO for a TUN.</summary>
    internal bool HasUso { get; }

    /// <summary>What is written here is forwarded.</summary>
    internal VnetTun In { get; }

    /// <summary>Where it comes out.</summary>
    internal VnetTun Out { get; }

    /// <summary>Runs a program inside, with the host's own /sys.</summary>
    internal void Exec(string file, params string[] arguments) => _host.Exec(file, arguments);

    public void Dispose()
    {
        In.Dispose();
        Out.Dispose();
        _host.Dispose();
    }

    private void Up(string device, string route4, string route6)
    {
        _host.Sysctl($"ipv6/conf/{device}/addr_gen_mode", "1");
        _host.Sysctl($"ipv4/conf/{device}/rp_filter", "0");
        _host.Ip($"link set {device} mtu 65535 txqueuelen 1000 multicast off up");
        _host.Ip($"route add {route4} dev {device}");
        _host.Ip($"-6 route add {route6} dev {device}");
    }
}
