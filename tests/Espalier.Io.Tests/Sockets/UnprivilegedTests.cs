using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Io.Tun;
using Espalier.Io.UnixSockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Sockets;

/// <summary>What a user without rights is told: one line that says what to do.</summary>
public sealed class UnprivilegedTests
{
    [Fact]
    public void Tun_WithoutRights_NamesTheCapability()
    {
        Requirement.Tun();
        Refused(() => TunDevice.Create("esp0"), "CAP_NET_ADMIN");
    }

    [Theory]
    [InlineData(IpVersion.IPv4)]
    [InlineData(IpVersion.IPv6)]
    public void RawSockets_WithoutRights_NameTheCapability(IpVersion version)
    {
        Refused(() => RawEspSocket.Open(SocketTestSupport.Options(version)), "CAP_NET_RAW");
        Refused(() => BypassSender.Open(1), "CAP_NET_RAW");
        Refused(IcmpSender.Open, "CAP_NET_RAW");
    }

    [Fact]
    public void Mark_WithoutRights_NamesTheCapability() =>
        Refused(() => UdpEncapsulationSocket.Open(SocketTestSupport.Options(IpVersion.IPv4) with { Mark = 1 }), "CAP_NET_ADMIN");

    [Fact]
    public void ReceiveBuffer_WithoutRights_IsBoundedAndSaysSo()
    {
        int limit = int.Parse(File.ReadAllText("/proc/sys/net/core/rmem_max"), System.Globalization.CultureInfo.InvariantCulture);
        using var socket = Unprivileged.Run(() => UdpEncapsulationSocket.Open(
            SocketTestSupport.Options(IpVersion.IPv4) with { ReceiveBuffer = int.MaxValue / 4 }));
        Assert.False(socket.ReceiveBufferForced);
        Assert.Equal(limit, socket.ReceiveBufferGranted);
    }

    [Fact]
    public void ControlListener_WithoutRights_SaysWhere() =>
        Refused(() => ControlListener.Bind($"/run/esp{Environment.ProcessId}-refused.sock"), "--control");

    private static void Refused<T>(Func<T> open, string advice)
    {
        var refusal = Assert.Throws<DeviceException>(() => Unprivileged.Run(open));
        Assert.Contains(refusal.Error, new[] { Errno.EPERM, Errno.EACCES });
        Assert.Contains(advice, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("\n", refusal.Message, StringComparison.Ordinal);
    }
}
