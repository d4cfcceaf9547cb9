using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>
/// The kernel's links, addresses, rules and routes (rtnetlink) in the network namespace of the thread that created this object.
/// Owned by one thread at a time. A refused request throws <see cref="NetlinkException"/> unless its member says otherwise.
/// </summary>
public sealed partial class RouteNetlink : IDisposable
{
    private readonly NetlinkSocket _socket = new(Nl.NETLINK_ROUTE);
    private readonly NetlinkWriter _writer = new(4096);

    /// <summary>By which the kernel says in notifications that this object asked for a change.</summary>
    public uint PortId => _socket.PortId;

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    /// <summary>AF_INET or AF_INET6; 0 = AF_UNSPEC.</summary>
    private static byte FamilyOf(IpVersion version) => version switch
    {
        IpVersion.IPv4 => Socket.AF_INET,
        IpVersion.IPv6 => Socket.AF_INET6,
        _ => 0,
    };

    private static IpVersion VersionOf(byte family) => family switch
    {
        Socket.AF_INET => IpVersion.IPv4,
        Socket.AF_INET6 => IpVersion.IPv6,
        _ => IpVersion.None,
    };

    private static InternetAddress AnyOf(IpVersion version) => version == IpVersion.IPv6 ? InternetAddress.AnyIPv6 : InternetAddress.AnyIPv4;

    /// <summary>Empties and returns the writer.</summary>
    private NetlinkWriter Start()
    {
        _writer.Clear();
        return _writer;
    }

    /// <summary>
    /// Sends <paramref name="items"/> in batches and returns what was refused, with the index of the item. The others were done:
    /// a batch is no transaction.
    /// </summary>
    private List<NetlinkError> Batch<T>(IReadOnlyList<T> items, Action<NetlinkWriter, T> write)
    {
        List<NetlinkError> all = [];
        for (int start = 0; start < items.Count; start += NetlinkSocket.LargestBatch)
        {
            var writer = Start();
            int end = Math.Min(start + NetlinkSocket.LargestBatch, items.Count);
            for (int i = start; i < end; i++)
            {
                write(writer, items[i]);
            }

            foreach (var error in _socket.Transact(writer))
            {
                all.Add(error with { Index = error.Index + start });
            }
        }

        return all;
    }
}
