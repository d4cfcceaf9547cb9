using Espalier.DataPlane;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Running.Logging;
using Microsoft.Extensions.Logging;

namespace Espalier.Running.Composition;

/// <summary>
/// Says, once for each rung (and port), what the kernel refuses: at start, or at run time what it granted at start. The devices have fallen back by themselves. Control
/// thread.
/// </summary>
internal sealed class LadderWatch(DataPlaneHost dataPlane, KernelDevices devices, RunOptions options, ILogger logger)
{
    /// <summary>How often to look.</summary>
    internal static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    private readonly HashSet<ushort> _said = [];
    private bool _saidWrite;

    /// <summary>To be called once everything is open.</summary>
    internal void Start()
    {
        RunLog.Offloads(logger, devices.Offloads);
        foreach (var (rung, error, consequence) in devices.Tun.Refusals)
        {
            RunLog.TunRefused(logger, rung, Errno.Text(error), consequence);
        }

        if (devices.Tun.MultiQueueError is not 0 and int refusal)
        {
            RunLog.MultiQueueRefused(logger, Errno.Text(refusal), options.Workers);
        }

        if (devices.Sockets.ReceiveOffloadError != 0)
        {
            RunLog.ReceiveOffloadRefused(logger, Errno.Text(devices.Sockets.ReceiveOffloadError));
        }

        Look();
    }

    /// <summary>To be called every <see cref="Period"/>.</summary>
    internal void Look()
    {
        foreach (var socket in dataPlane.Sockets)
        {
            if (socket is UdpEncapsulationSocket { SegmentationError: not 0 } refused && _said.Add(socket.LocalPort))
            {
                RunLog.SegmentationRefused(logger, socket.LocalPort, Errno.Text(refused.SegmentationError));
            }
        }

        if (!_saidWrite && devices.Tun.WriteRefusal is not 0 and int error)
        {
            _saidWrite = true;
            RunLog.SuperPacketRefused(logger, Errno.Text(error));
        }
    }
}
