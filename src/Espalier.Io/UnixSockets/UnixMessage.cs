using Espalier.Io.Interop;

namespace Espalier.Io.UnixSockets;

/// <summary>How a receive ended.</summary>
public enum UnixReceiveOutcome
{
    /// <summary>Nothing there now (EAGAIN).</summary>
    Nothing,

    /// <summary>A message was received.</summary>
    Message,

    /// <summary>The other end closed the connection. Datagram pairs never say so.</summary>
    Closed,

    /// <summary>The call failed; <see cref="UnixMessage.Error"/> says why. The connection is of no more use.</summary>
    Failed,
}

/// <summary>A received message, or why there is none.</summary>
/// <param name="Outcome">How the receive ended.</param>
/// <param name="Length">The message's true length, which exceeds the buffer where <paramref name="Truncated"/> is set.</param>
/// <param name="Truncated">True where the message was larger than the buffer: its end is lost.</param>
/// <param name="Descriptor">The descriptor that came with it (SCM_RIGHTS), or null. Belongs to the receiver, who disposes of it.</param>
/// <param name="TooManyDescriptors">True where more than one descriptor was sent, or this process could take none; the kernel closed the rest.</param>
/// <param name="Error">The errno of a failed receive, else 0.</param>
public readonly record struct UnixMessage(
    UnixReceiveOutcome Outcome, int Length, bool Truncated, SafeDescriptor? Descriptor, bool TooManyDescriptors, int Error);
