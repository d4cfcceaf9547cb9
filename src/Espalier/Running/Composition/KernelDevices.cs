using System.Globalization;
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
    private readonly IReadOnlyList<LoopbackRelay> _relays;
    private readonly bool _spread;

    private KernelDevices(TunDevice tun, BypassSender bypass, IcmpSender icmp, IReadOnlyList<LoopbackRelay> relays, KernelOuterSocketFactory sockets, bool spread)
    {
        Tun = tun;
        _bypass = bypass;
        _icmp = icmp;
        _relays = relays;
        Sockets = sockets;
        _spread = spread;
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
            return $"{tun}; UDP {With(Sockets.Segmentation, Sockets.SegmentationError)} GSO, {With(Sockets.ReceiveOffload, Sockets.ReceiveOffloadError)} GRO; {Workers(Tun.Readers.Count, _spread)}";
        }
    }

    /// <summary>All of them, for the data plane.</summary>
    internal DataPlaneDevices ForDataPlane => new(
        [.. _relays.Select((relay, worker) => new WorkerDevices(Tun.Readers[worker], Tun.Writers[worker], relay))], Sockets, _bypass, _icmp);

    /// <summary>Opens all of them, or none.</summary>
    /// <exception cref="Io.DeviceException">One cannot be had; the message says what to do.</exception>
    internal static KernelDevices Open(RunOptions options)
    {
        TunDevice? tun = null;
        BypassSender? bypass = null;
        IcmpSender? icmp = null;
        var relays = new List<LoopbackRelay>();
        try
        {
            tun = TunDevice.Create(options.TunName, options.Tso ? TunOffloads.All : TunOffloads.None, options.Workers);
            bypass = BypassSender.Open(options.Mark);
            icmp = IcmpSender.Open();
            while (relays.Count < tun.Readers.Count)
            {
                relays.Add(LoopbackRelay.Open(Configuration.Routing(options).RelayMark));
            }

            var sockets = new KernelOuterSocketFactory(options.Mark, options.ReceiveBufferBytes)
            {
                SharesPorts = true,
                Workers = tun.Readers.Count,
                Segmentation = options.UdpGso,
                ReceiveOffload = options.UdpGro,
            };
            return new KernelDevices(tun, bypass, icmp, relays, sockets, options.Spread);
        }
        catch
        {
            relays.ForEach(relay => relay.Dispose());
            icmp?.Dispose();
            bypass?.Dispose();
            tun?.Dispose();
            throw;
        }
    }

    /// <summary>How many workers there are, and what becomes of --spread, for the log.</summary>
    internal static string Workers(int pairs, bool spread) => (pairs, spread) switch
    {
        (1, false) => "one worker each way",
        (1, true) => "one worker each way, so --spread has no effect",
        _ => string.Create(CultureInfo.InvariantCulture, $"{pairs} workers each way, as many TUN queues{(spread ? ", an outbound SA spread over them" : "")}"),
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var relay in _relays)
        {
            relay.Dispose();
        }

        _icmp.Dispose();
        _bypass.Dispose();
        Tun.Dispose();
    }

    private static string With(bool wanted, int error) => wanted && error == 0 ? "with" : "without";
}
