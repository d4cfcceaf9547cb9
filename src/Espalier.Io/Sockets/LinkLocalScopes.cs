using System.Globalization;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Finds the interface of a link-local IPv6 address of ours (RFC 4007 §6: a link-local destination needs its zone). An SA between
/// link-local addresses names no interface, but its local address belongs to one. Where two interfaces carry the same link-local
/// address, the first is taken. The peer's packets teach nothing: their sender could be forged.
/// </summary>
/// <remarks>Used by one sending thread. Reads the kernel's table again at most once a second, only for an address it does not know.</remarks>
internal sealed class LinkLocalScopes
{
    private const long RefreshMilliseconds = 1000;
    private readonly Dictionary<InternetAddress, uint> _scopes = [];
    private long _nextRefresh;

    /// <summary>True for fe80::/10.</summary>
    internal static bool IsLinkLocal(InternetAddress address) => address.Version == IpVersion.IPv6 && (uint)(address.Bits >> 118) == 0x3FA;

    /// <summary>The index of the interface with this link-local address, 0 = none.</summary>
    internal uint Find(InternetAddress local)
    {
        if (_scopes.TryGetValue(local, out uint scope))
        {
            return scope;
        }

        long now = Environment.TickCount64;
        if (!IsLinkLocal(local) || now < _nextRefresh)
        {
            return 0;
        }

        _nextRefresh = now + RefreshMilliseconds;
        Refresh();
        return _scopes.GetValueOrDefault(local);
    }

    /// <summary>Forgets what is known, for an address that the kernel no longer accepts.</summary>
    internal void Forget(InternetAddress local) => _scopes.Remove(local);

    // if_inet6: 32 hexadecimal digits of address, interface index (hexadecimal), prefix length, scope, flags, name.
    private void Refresh()
    {
        const string Table = "/proc/thread-self/net/if_inet6";
        _scopes.Clear();
        if (!File.Exists(Table))
        {
            return;
        }

        foreach (string line in File.ReadLines(Table))
        {
            string[] columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (columns.Length >= 2
                && UInt128.TryParse(columns[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var bits)
                && uint.TryParse(columns[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint index))
            {
                var address = new InternetAddress(IpVersion.IPv6, bits);
                if (IsLinkLocal(address))
                {
                    _scopes.TryAdd(address, index);
                }
            }
        }
    }
}
