using Espalier.CommandLine;
using Espalier.Ipsec.Algorithms.Engines;
using Microsoft.Extensions.Logging;

namespace Espalier.Running;

/// <summary>What `espalier run` was asked for; checked.</summary>
internal sealed record RunOptions
{
    /// <summary>Path of the control socket, absolute, or @NAME.</summary>
    internal string ControlPath { get; init; } = Defaults.ControlPath;

    /// <summary>Name of the TUN device.</summary>
    internal string TunName { get; init; } = "esp0";

    /// <summary>Firewall mark of everything that must not enter the tunnel.</summary>
    internal uint Mark { get; init; } = Defaults.Mark;

    /// <summary>Routing table for the protected destinations.</summary>
    internal uint Table { get; init; } = Defaults.Table;

    /// <summary>Preference of the routing rules.</summary>
    internal uint RulePriority { get; init; } = Defaults.RulePriority;

    /// <summary>UDP port for encapsulated ESP, 0 = none.</summary>
    internal ushort EncapsulationPort { get; init; } = 4500;

    /// <summary>Users who may use the control socket besides root and the user of this process.</summary>
    internal IReadOnlyList<uint> AllowedUsers { get; init; } = [];

    /// <summary>Groups whose members may use the control socket.</summary>
    internal IReadOnlyList<uint> AllowedGroups { get; init; } = [];

    /// <summary>Receive buffer of each outer socket in bytes.</summary>
    internal int ReceiveBufferBytes { get; init; } = 4 << 20;

    /// <summary>Pairs of workers at most.</summary>
    internal const int MostWorkers = 64;

    /// <summary>Pairs of workers, an outbound and an inbound one each; more than one need as many queues of the TUN.</summary>
    internal int Workers { get; init; } = DefaultWorkers;

    /// <summary>As many as there are pairs of processors, so that with two processors there is one; at most 8.</summary>
    internal static int DefaultWorkers => Math.Clamp(Environment.ProcessorCount / 2, 1, 8);

    /// <summary>Several workers seal packets of one SA at once.</summary>
    internal bool Spread { get; init; }

    /// <summary>Read and write the TUN in super-packets (TSO, USO).</summary>
    internal bool Tso { get; init; } = true;

    /// <summary>Send datagrams in messages that the kernel cuts (UDP_SEGMENT).</summary>
    internal bool UdpGso { get; init; } = true;

    /// <summary>Take datagrams that the kernel joined as one (UDP_GRO).</summary>
    internal bool UdpGro { get; init; } = true;

    /// <summary>The crypto engine, of <see cref="Crypto.CryptoEngines.Names"/>.</summary>
    internal string Crypto { get; init; } = CryptoEngine.System.Name;

    /// <summary>Least level that is logged.</summary>
    internal LogLevel LogLevel { get; init; } = LogLevel.Information;
}
