using Espalier.Xfrm.Handlers;

namespace Espalier.Xfrm.Server;

/// <summary>What a control server may be told.</summary>
public sealed record ControlServerOptions
{
    /// <summary>Path of the socket; <c>@name</c> for the abstract namespace.</summary>
    public required string Path { get; init; }

    /// <summary>Users who may connect besides root and the user of this process.</summary>
    public IReadOnlyList<uint> AllowedUsers { get; init; } = [];

    /// <summary>Groups whose members may connect.</summary>
    public IReadOnlyList<uint> AllowedGroups { get; init; } = [];

    /// <summary>Firewall mark that the routing rules exempt; told to clients in the answer to ATTACH. 0 = not told.</summary>
    public uint Mark { get; init; }

    /// <summary>Admitted clients at a time.</summary>
    public int MaximumClients { get; init; } = 256;

    /// <summary>Bytes that may wait for one client; notifications beyond are lost and counted, requests beyond are not read.</summary>
    public int MaximumQueuedBytes { get; init; } = 512 * 1024;

    /// <summary>Bounds and times of the XFRM interface.</summary>
    public XfrmOptions Xfrm { get; init; } = new();
}

/// <summary>What the control server has counted. Read on any thread; values of one moment need not fit together.</summary>
public sealed class ControlCounters
{
    /// <summary>Connections accepted.</summary>
    public long Accepted { get; internal set; }

    /// <summary>Connections of users, groups or namespaces that are not admitted.</summary>
    public long Refused { get; internal set; }

    /// <summary>Connections that found <see cref="ControlServerOptions.MaximumClients"/> others.</summary>
    public long TooMany { get; internal set; }

    /// <summary>Clients connected now.</summary>
    public int Clients { get; internal set; }

    /// <summary>Requests handled.</summary>
    public long Requests { get; internal set; }

    /// <summary>Requests answered by an error.</summary>
    public long Errors { get; internal set; }

    /// <summary>Datagrams that were no netlink messages, or longer than the largest request.</summary>
    public long Malformed { get; internal set; }

    /// <summary>Notifications lost because a client did not read.</summary>
    public long NotificationsLost { get; internal set; }

    /// <summary>ACQUIREs sent.</summary>
    public long Acquires { get; internal set; }

    /// <summary>ACQUIREs given up because too many larval SAs wait (XfrmAcquireError).</summary>
    public long AcquireErrors { get; internal set; }

    /// <summary>EXPIREs and POLEXPIREs sent because a limit was met.</summary>
    public long Expirations { get; internal set; }

    /// <summary>MAPPINGs sent.</summary>
    public long Mappings { get; internal set; }
}
