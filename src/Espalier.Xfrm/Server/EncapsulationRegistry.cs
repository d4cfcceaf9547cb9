using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Server;

/// <summary>
/// Which client has opened which ports for ESP in UDP. A port that several clients have opened (the leases of one IKE daemon, say) is opened
/// once, and closed with the last of them. Control thread only.
/// </summary>
internal sealed class EncapsulationRegistry
{
    /// <summary>Addresses and ports of one client.</summary>
    public const int MaximumOfClient = 256;

    private readonly Dictionary<ControlClient, HashSet<Endpoint>> _ofClients = [];

    /// <summary>Opens and closes; null: refused.</summary>
    public IEncapsulationPorts? Ports { get; set; }

    /// <summary>Does what an ENCAP message asks for.</summary>
    public XfrmError Handle(ControlClient client, in EncapsulationRequest request)
    {
        ushort port = XfrmConversions.Swap(request.Port);
        var version = XfrmConversions.ToVersion(request.Family);
        if (port == 0 || (version == IpVersion.None && request.Family != XfrmValue.FamilyUnspecified))
        {
            return XfrmError.Invalid("ENCAP needs a port, and family AF_INET, AF_INET6 or AF_UNSPEC");
        }

        if (version == IpVersion.IPv6 && XfrmConversions.ToAddress(request.Address, version).Bits >> 32 == 0xffff)
        {
            return XfrmError.Unsupported("An IPv6 socket bound to an IPv4 address cannot have UDP encapsulation: use an IPv4 socket");
        }

        Endpoint[] endpoints = version == IpVersion.None
            ? [new(InternetAddress.AnyIPv4, port), new(InternetAddress.AnyIPv6, port)]
            : [new(XfrmConversions.ToAddress(request.Address, version), port)];
        switch (request.Operation)
        {
            case EncapsulationOperation.Open:
                return Open(client, endpoints);
            case EncapsulationOperation.Close:
                Close(client, endpoints);
                return XfrmError.None;
            case EncapsulationOperation.MayShare:
                return Admit(endpoints);
            default:
                return XfrmError.Invalid("This operation of ENCAP is not known");
        }
    }

    /// <summary>Closes what a client that is gone has opened.</summary>
    public void Release(ControlClient client)
    {
        if (_ofClients.TryGetValue(client, out var endpoints))
        {
            Close(client, [.. endpoints]);
            _ofClients.Remove(client);
        }
    }

    private XfrmError Admit(Endpoint[] endpoints)
    {
        if (endpoints.Any(IsTaken))
        {
            return new XfrmError(LinuxError.AddressInUse, $"Another IKE daemon receives on UDP port {endpoints[0].Port}");
        }

        foreach (var endpoint in endpoints)
        {
            Ports?.Admit(endpoint.Address, endpoint.Port);
        }

        return XfrmError.None;
    }

    private XfrmError Open(ControlClient client, Endpoint[] endpoints)
    {
        if (Ports is null)
        {
            return XfrmError.Unsupported("This data plane takes over no port of an IKE daemon");
        }

        if (!_ofClients.TryGetValue(client, out var mine))
        {
            _ofClients.Add(client, mine = []);
        }

        Endpoint[] added = [.. endpoints.Where(endpoint => !mine.Contains(endpoint))];
        if (mine.Count + added.Length > MaximumOfClient)
        {
            return new XfrmError(LinuxError.NoBuffers, $"A client may have {MaximumOfClient} addresses and ports with UDP encapsulation");
        }

        for (int i = 0; i < added.Length; i++)
        {
            if (!IsOpen(added[i]) && Ports.Open(added[i].Address, added[i].Port) is { } reason)
            {
                Close(client, added[..i]);
                return new XfrmError(LinuxError.AddressInUse, reason);
            }

            mine.Add(added[i]);
        }

        return XfrmError.None;
    }

    private void Close(ControlClient client, Endpoint[] endpoints)
    {
        foreach (var endpoint in endpoints)
        {
            if (_ofClients.TryGetValue(client, out var mine) && mine.Remove(endpoint) && !IsOpen(endpoint))
            {
                Ports?.Close(endpoint.Address, endpoint.Port);
            }
        }
    }

    private bool IsOpen(Endpoint endpoint) => _ofClients.Values.Any(endpoints => endpoints.Contains(endpoint));

    private bool IsTaken(Endpoint endpoint) => _ofClients.Values.Any(endpoints => endpoints.Any(endpoint.Overlaps));

    private readonly record struct Endpoint(InternetAddress Address, ushort Port)
    {
        public bool Overlaps(Endpoint other) => Port == other.Port && Address.Version == other.Address.Version
            && (Address == other.Address || Address.IsUnspecified || other.Address.IsUnspecified);
    }
}
