namespace Espalier.Io.UnixSockets;

/// <summary>
/// Who is at the other end of a Unix connection, as the kernel recorded it when the connection was made (SO_PEERCRED). The user and group
/// are the effective ones, translated into the reader's user namespace (65534 where they have no place in it).
/// </summary>
public readonly record struct PeerCredentials(int ProcessId, uint UserId, uint GroupId);
