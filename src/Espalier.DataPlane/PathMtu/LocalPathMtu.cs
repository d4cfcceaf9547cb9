using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.PathMtu;

/// <summary>
/// MTUs that this host's own kernel named when it refused to send a packet that was too large for the interface (a local error in the error
/// queue of a socket). The worker that reads the queue need not be the one that sent, so they meet here. Locked, since it is used only
/// when a packet was refused. A fixed number of destinations; the oldest is forgotten.
/// </summary>
internal sealed class LocalPathMtu
{
    private const int Capacity = 64;

    private readonly Lock _lock = new();
    private readonly (InternetAddress Remote, int Mtu)[] _entries = new (InternetAddress, int)[Capacity];
    private int _next;

    /// <summary>Remembers what the kernel said.</summary>
    public void Set(InternetAddress remote, int mtu)
    {
        lock (_lock)
        {
            for (int i = 0; i < Capacity; i++)
            {
                if (_entries[i].Remote == remote)
                {
                    _entries[i].Mtu = mtu;
                    return;
                }
            }

            _entries[_next] = (remote, mtu);
            _next = (_next + 1) % Capacity;
        }
    }

    /// <summary>Takes what the kernel said about a destination; 0 = nothing.</summary>
    public int Take(InternetAddress remote)
    {
        lock (_lock)
        {
            for (int i = 0; i < Capacity; i++)
            {
                if (_entries[i].Remote == remote)
                {
                    int mtu = _entries[i].Mtu;
                    _entries[i] = default;
                    return mtu;
                }
            }
        }

        return 0;
    }
}
