using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>Log messages of the control server. Event ids are stable: 3000 to 3099. Keys never appear.</summary>
internal static partial class ControlLog
{
    [LoggerMessage(3000, LogLevel.Information, "XFRM programs may connect to {Path}")]
    public static partial void Listening(ILogger logger, string path);

    [LoggerMessage(3001, LogLevel.Warning, "A client of the control socket was refused: {Reason}")]
    public static partial void ClientRefused(ILogger logger, string reason);

    [LoggerMessage(3003, LogLevel.Debug, "A client of the control socket is gone (attached: {Attached}, notifications lost: {Lost})")]
    public static partial void ClientGone(ILogger logger, bool attached, long lost);

    [LoggerMessage(3004, LogLevel.Warning, "A client of the control socket does not read its notifications: more than {Bytes} bytes wait, further ones are lost")]
    public static partial void ClientDoesNotRead(ILogger logger, int bytes);

    [LoggerMessage(3005, LogLevel.Error, "A request failed inside Espalier")]
    public static partial void RequestFailed(ILogger logger, Exception exception);

    [LoggerMessage(3009, LogLevel.Error, "An answer of several parts failed inside Espalier: it ends with an error")]
    public static partial void DumpFailed(ILogger logger, Exception exception);

    [LoggerMessage(3010, LogLevel.Error, "A client of the control socket was cut off: serving it failed inside Espalier")]
    public static partial void ClientFailed(ILogger logger, Exception exception);

    [LoggerMessage(3006, LogLevel.Warning, "The control socket cannot accept connections: {Reason}; those that wait are accepted as soon as it can")]
    public static partial void AcceptFailed(ILogger logger, string reason);

    [LoggerMessage(3007, LogLevel.Warning, "ESP on UDP port {Port} is not taken over for an IKE daemon: {Reason}")]
    public static partial void EncapsulationRefused(ILogger logger, ushort port, string reason);

    [LoggerMessage(3008, LogLevel.Information, "A request was refused: {Reason}")]
    public static partial void RequestRefused(ILogger logger, string reason);
}
