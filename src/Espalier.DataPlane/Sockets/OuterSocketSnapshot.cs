using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>The <see cref="OuterSocketTable"/> at one time, as the workers read it.</summary>
internal sealed class OuterSocketSnapshot(IOuterSocket[][] senders, IOuterSocket[][] polled, long generation)
{
    private readonly Dictionary<uint, IOuterSocket[]> _byKey = senders.ToDictionary(group => KeyOf(group[0].Version, group[0].LocalPort));

    /// <summary>Those that send, in the order of opening: of each port one for each worker. Not to be written.</summary>
    public IOuterSocket[][] Senders { get; } = senders;

    /// <summary>All: those that send have an error queue, and receive where ports are not shared. Not to be written.</summary>
    public IOuterSocket[] Sockets { get; } = [.. polled.SelectMany(sockets => sockets)];

    /// <summary>Larger in each snapshot.</summary>
    public long Generation { get; } = generation;

    /// <summary>What an inbound worker polls. Not to be written.</summary>
    public IOuterSocket[] SocketsOf(int worker) => polled[worker];

    /// <summary>The socket by which a worker sends for this version and port, or null.</summary>
    public IOuterSocket? Find(IpVersion version, ushort port, int worker = 0) => FindAll(version, port)?[worker];

    /// <summary>Those of all workers, or null.</summary>
    public IOuterSocket[]? FindAll(IpVersion version, ushort port) => _byKey.GetValueOrDefault(KeyOf(version, port));

    private static uint KeyOf(IpVersion version, ushort port) => ((uint)version << 16) | port;
}
