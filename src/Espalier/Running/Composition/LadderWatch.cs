using Espalier.DataPlane;
using Espalier.Io.Sockets;
using Espalier.Running.Logging;
using Microsoft.Extensions.Logging;

namespace Espalier.Running.Composition;

/// <summary>Says, once for a port, when the kernel has refused at run time what it granted at start. The sockets have fallen back by themselves. Control thread.</summary>
internal sealed class LadderWatch(DataPlaneHost dataPlane, bool segments, ILogger logger)
{
    private readonly HashSet<ushort> _said = [];

    /// <summary>To be called now and then.</summary>
    internal void Look()
    {
        foreach (var socket in dataPlane.Sockets)
        {
            if (segments && socket is UdpEncapsulationSocket { SegmentsMessages: false } && _said.Add(socket.LocalPort))
            {
                RunLog.SegmentationRefused(logger, socket.LocalPort);
            }
        }
    }
}
