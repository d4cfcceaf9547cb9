using Espalier.Wire.Addresses;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>An SA of libipsec, with the flag and condition of its entry.</summary>
internal sealed class LibipsecSa(uint spi, HostAddress source, HostAddress destination, uint reqId, bool isInbound, EspContext context)
{
    internal uint Spi => spi;

    internal HostAddress Source => source;

    internal HostAddress Destination => destination;

    internal uint ReqId => reqId;

    internal bool IsInbound => isInbound;

    internal EspContext Context => context;

    internal bool IsLocked { get; set; }
}

/// <summary>
/// libipsec's ipsec_sa_mgr_t: all SAs in one linked list under one mutex. A packet's SA is checked out (found from the head of the list, then locked) and
/// checked in again, which looks for it from the head once more.
/// </summary>
internal sealed class SaManager
{
    private readonly LinkedList<LibipsecSa> _sas = new();

    internal void Add(LibipsecSa sa)
    {
        lock (_sas)
        {
            _sas.AddLast(sa);
        }
    }

    internal LibipsecSa? CheckoutBySpi(uint spi, InternetAddress destination)
    {
        lock (_sas)
        {
            for (var node = _sas.First; node is not null; node = node.Next)
            {
                if (node.Value.Spi == spi && node.Value.Destination.Address == destination)
                {
                    return WaitFor(node.Value);
                }
            }

            return null;
        }
    }

    internal LibipsecSa? CheckoutByReqId(uint reqId, bool inbound)
    {
        lock (_sas)
        {
            for (var node = _sas.First; node is not null; node = node.Next)
            {
                if (node.Value.ReqId == reqId && node.Value.IsInbound == inbound)
                {
                    return WaitFor(node.Value);
                }
            }

            return null;
        }
    }

    internal void Checkin(LibipsecSa sa)
    {
        lock (_sas)
        {
            for (var node = _sas.First; node is not null; node = node.Next)
            {
                if (ReferenceEquals(node.Value, sa))
                {
                    sa.IsLocked = false;
                    Monitor.PulseAll(_sas);
                    return;
                }
            }
        }
    }

    private LibipsecSa WaitFor(LibipsecSa sa)
    {
        while (sa.IsLocked)
        {
            Monitor.Wait(_sas);
        }

        sa.IsLocked = true;
        return sa;
    }
}
