using Espalier.DataPlane;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Sockets;
using Espalier.Io.Tun;

namespace Espalier.Running.Composition;

/// <summary>The kernel's devices that the data plane works on: the TUN, and what sends in clear, ICMP errors and IKE to its daemon. Made and disposed of by the control thread.</summary>
internal sealed class KernelDevices : IDisposable
{
    private readonly BypassSender _bypass;
    private readonly IcmpSender _icmp;
    private readonly LoopbackRelay _relay;

    private KernelDevices(TunDevice tun, BypassSender bypass, IcmpSender icmp, LoopbackRelay relay, KernelOuterSocketFactory sockets)
    {
        Tun = tun;
        _bypass = bypass;
        _icmp = icmp;
        _relay = relay;
        Sockets = sockets;
    }

    /// <summary>The inner side.</summary>
    internal TunDevice Tun { get; }

    /// <summary>Opens the outer side.</summary>
    internal KernelOuterSocketFactory Sockets { get; }

    /// <summary>Which rungs of the offload ladder are in use, for the log.</summary>
    internal string Offloads
    {
        get
        {
            string tun = (Tun.Offloads & TunOffloads.Udp) != 0 ? "TUN with TSO and USO" : Tun.Offloads != TunOffloads.None ? "TUN with TSO" : "TUN packet by packet";
            return $"{tun}; UDP {(Sockets.Segmentation ? "with" : "without")} GSO, {(Sockets.ReceiveOffload && !Sockets.ReceiveOffloadRefused ? "with" : "without")} GRO";
        }
    }

    /// <summary>All of them, for the data plane.</summary>
    internal DataPlaneDevices ForDataPlane => new(Tun, Sockets, _bypass, _icmp, _relay);

    /// <summary>Opens all of them, or none.</summary>
    /// <exception cref="Io.DeviceException">One cannot be had; the message says what to do.</exception>
    internal static KernelDevices Open(RunOptions options)
    {
        TunDevice? tun = null;
        BypassSender? bypass = null;
        IcmpSender? icmp = null;
        try
        {
            tun = TunDevice.Create(options.TunName, options.Tso ? TunOffloads.All : TunOffloads.None);
            bypass = BypassSender.Open(options.Mark);
            icmp = IcmpSender.Open();
            var relay = LoopbackRelay.Open(Configuration.Routing(options).RelayMark);
            var sockets = new KernelOuterSocketFactory(options.Mark, options.ReceiveBufferBytes)
            {
                SharesPorts = true,
                Segmentation = options.UdpGso,
                ReceiveOffload = options.UdpGro,
            };
            return new KernelDevices(tun, bypass, icmp, relay, sockets);
        }
        catch
        {
            icmp?.Dispose();
            bypass?.Dispose();
            tun?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _relay.Dispose();
        _icmp.Dispose();
        _bypass.Dispose();
        Tun.Dispose();
    }
}
