using Espalier.DataPlane;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Sockets;
using Espalier.Io.Sockets.SharedPort;
using Espalier.Io.Tun;

namespace Espalier.Running.Composition;

/// <summary>The kernel's devices that the data plane works on: the TUN, and what sends in clear and ICMP errors. Made and disposed of by the control thread.</summary>
internal sealed class KernelDevices : IDisposable
{
    private readonly BypassSender _bypass;
    private readonly IcmpSender _icmp;

    private KernelDevices(TunDevice tun, BypassSender bypass, IcmpSender icmp, SharedPorts ports, SharedOuterSocketFactory sockets)
    {
        Ports = ports;
        Tun = tun;
        _bypass = bypass;
        _icmp = icmp;
        Sockets = sockets;
    }

    /// <summary>The inner side.</summary>
    internal TunDevice Tun { get; }

    /// <summary>Opens the outer side.</summary>
    internal SharedOuterSocketFactory Sockets { get; }

    /// <summary>The UDP ports among them, which IKE daemons may share.</summary>
    internal SharedPorts Ports { get; }

    /// <summary>All of them, for the data plane.</summary>
    internal DataPlaneDevices ForDataPlane => new(Tun, Sockets, _bypass, _icmp);

    /// <summary>Opens all of them, or none.</summary>
    /// <exception cref="Io.DeviceException">One cannot be had; the message says what to do.</exception>
    internal static KernelDevices Open(RunOptions options)
    {
        TunDevice? tun = null;
        BypassSender? bypass = null;
        SharedPorts? ports = null;
        try
        {
            tun = TunDevice.Create(options.TunName);
            bypass = BypassSender.Open(options.Mark);
            ports = SharedPorts.Create(Configuration.Routing(options).RelayMark, options.TunName);
            return new KernelDevices(tun, bypass, IcmpSender.Open(), ports, new SharedOuterSocketFactory(ports, Configuration.Sockets(options)));
        }
        catch
        {
            ports?.Dispose();
            bypass?.Dispose();
            tun?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ports.Dispose();
        _icmp.Dispose();
        _bypass.Dispose();
        Tun.Dispose();
    }
}
