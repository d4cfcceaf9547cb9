using Microsoft.Extensions.Logging;

namespace Espalier.Running.Logging;

/// <summary>What the program itself logs; event ids from 100.</summary>
internal static partial class RunLog
{
    [LoggerMessage(100, LogLevel.Information, "Ready: TUN {Tun}, control socket {Control}, {Encapsulation}")]
    internal static partial void Ready(ILogger logger, string tun, string control, string encapsulation);

    [LoggerMessage(101, LogLevel.Information, "Stopping: {Reason}")]
    internal static partial void Stopping(ILogger logger, string reason);

    [LoggerMessage(102, LogLevel.Information, "Stopped; nothing is left behind")]
    internal static partial void Stopped(ILogger logger);

    [LoggerMessage(103, LogLevel.Warning, "SO_RCVBUFFORCE was refused, so net.core.rmem_max bounds the receive buffers ({Bytes} bytes are asked for): where it is smaller, the kernel drops bursts sooner")]
    internal static partial void ReceiveBufferLimited(ILogger logger, int bytes);

    [LoggerMessage(104, LogLevel.Warning, "Core dumps or debuggers may read this process's memory, keys included: {Reason}")]
    internal static partial void NotHardened(ILogger logger, string reason);

    [LoggerMessage(105, LogLevel.Warning, "SA {Spi}: its socket cannot be opened: {Reason}")]
    internal static partial void SocketUnavailable(ILogger logger, string spi, string reason);

    [LoggerMessage(106, LogLevel.Warning, "Packets are not received: {Reason}")]
    internal static partial void NotReceived(ILogger logger, string reason);

    [LoggerMessage(108, LogLevel.Warning, "The kernel refuses UDP_GRO ({Reason}): outer packets are taken one by one")]
    internal static partial void ReceiveOffloadRefused(ILogger logger, string reason);

    [LoggerMessage(109, LogLevel.Information, "Offloads: {Offloads}")]
    internal static partial void Offloads(ILogger logger, string offloads);

    [LoggerMessage(110, LogLevel.Information, "Crypto engine {Engine} ({Library}){Remark}")]
    internal static partial void Crypto(ILogger logger, string engine, string library, string remark);

    [LoggerMessage(111, LogLevel.Warning, "Crypto engine not used: {Reason}")]
    internal static partial void CryptoRefused(ILogger logger, string reason);

    [LoggerMessage(112, LogLevel.Warning, "The kernel gives the TUN device one queue (IFF_MULTI_QUEUE refused: {Reason}), so there is one worker each way, not {Wanted}")]
    internal static partial void MultiQueueRefused(ILogger logger, string reason, int wanted);

    [LoggerMessage(113, LogLevel.Warning, "The kernel refuses to cut UDP messages (UDP_SEGMENT) from port {Port} ({Reason}): datagrams are sent one by one")]
    internal static partial void SegmentationRefused(ILogger logger, ushort port, string reason);

    [LoggerMessage(114, LogLevel.Warning, "The kernel refuses {Rung} of the TUN device ({Reason}): {Consequence}")]
    internal static partial void TunRefused(ILogger logger, string rung, string reason, string consequence);

    [LoggerMessage(115, LogLevel.Warning, "The kernel refuses super-packets written to the TUN device ({Reason}): from now on packets are written one by one")]
    internal static partial void SuperPacketRefused(ILogger logger, string reason);

    [LoggerMessage(107, LogLevel.Error, "Device lost: {Reason}")]
    internal static partial void DeviceLost(ILogger logger, string reason);
}
