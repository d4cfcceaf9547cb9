using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Addresses;

/// <summary>
/// Which addresses this host delivers to itself, as its local routing table (255) says: addresses of interfaces, 127.0.0.0/8, AnyIP prefixes
/// (<c>ip route add local …</c>), broadcast and anycast addresses; and all multicast addresses.
/// The control thread reads the table anew when rtnetlink says that it changed, and publishes the outcome as an immutable snapshot, which workers read
/// without a lock.
/// </summary>
public sealed class LocalAddresses : ILocalAddresses
{
    private const uint LocalTable = 255;

    private volatile LocalAddressSnapshot _snapshot = new([]);

    /// <summary>Raised on the control thread after the table was read anew.</summary>
    public event Action? Refreshed;

    /// <inheritdoc/>
    public bool IsLocal(InternetAddress address) => _snapshot.Contains(address);

    /// <summary>Reads the local table and publishes it. Control thread.</summary>
    /// <exception cref="NetlinkException">The kernel refused.</exception>
    public void Refresh(RouteNetlink netlink)
    {
        ArgumentNullException.ThrowIfNull(netlink);
        List<AddressPrefix> delivered = [];
        foreach (var version in (ReadOnlySpan<IpVersion>)[IpVersion.IPv4, IpVersion.IPv6])
        {
            foreach (var route in netlink.GetRoutes(version, LocalTable))
            {
                if (route.Type is RouteType.Local or RouteType.Broadcast or RouteType.Anycast)
                {
                    delivered.Add(route.Destination);
                }
            }
        }

        _snapshot = new LocalAddressSnapshot(delivered);
        Refreshed?.Invoke();
    }
}
