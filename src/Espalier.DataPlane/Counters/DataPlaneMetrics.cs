using System.Diagnostics.Metrics;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Counters;

/// <summary>
/// The instruments of the data plane on System.Diagnostics.Metrics, meter <see cref="MeterName"/>. All are observable: they read the workers' longs
/// when a listener asks, and cost nothing else.
/// </summary>
public sealed class DataPlaneMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Espalier.DataPlane";

    private readonly Meter _meter = new(MeterName);
    private readonly IpsecDatabase _database;
    private readonly DataPlaneHost _host;
    private readonly DataPlaneCounters _counters;

    /// <summary>Registers the instruments.</summary>
    public DataPlaneMetrics(DataPlaneHost host, IpsecDatabase database)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(database);
        _host = host;
        _database = database;
        _counters = host.Counters;
        AddTraffic();
        AddAssociations();
        _meter.CreateObservableCounter(
            "espalier.drops", ReadDrops, "{packet}", "Packets discarded, by reason and by the kernel's nearest counter.");
        _meter.CreateObservableCounter(
            "espalier.outer.kernel_drops", () => _host.SocketKernelDrops, "{packet}", "Packets that the kernel dropped in full queues of outer sockets.");
        _meter.CreateObservableCounter(
            "espalier.events.lost", () => _database.Events.Lost, "{event}", "Events to the control thread lost because its queue was full.");
        _meter.CreateObservableUpDownCounter(
            "espalier.batches.rented", CountRented, "{batch}", "Batches in use.");
    }

    /// <summary>Removes the instruments.</summary>
    public void Dispose() => _meter.Dispose();

    private void AddTraffic()
    {
        Add("espalier.tun.read", "{packet}", "Packets read from the TUN.", TrafficCounter.TunPacketsRead);
        Add("espalier.outer.read", "{packet}", "Packets read from outer sockets.", TrafficCounter.OuterPacketsRead);
        Add("espalier.outbound.packets", "{packet}", "ESP packets sent.", TrafficCounter.OutboundPackets);
        Add("espalier.outbound.bytes", "By", "Bytes of ESP packets sent.", TrafficCounter.OutboundBytes);
        Add("espalier.inbound.packets", "{packet}", "Packets received through tunnels.", TrafficCounter.InboundPackets);
        Add("espalier.inbound.bytes", "By", "Bytes of packets received through tunnels.", TrafficCounter.InboundBytes);
        Add("espalier.bypassed.packets", "{packet}", "Packets sent on in clear, as policy says.", TrafficCounter.BypassedPackets);
        Add("espalier.bypassed.bytes", "By", "Bytes of packets sent on in clear.", TrafficCounter.BypassedBytes);
        Add("espalier.keepalives", "{packet}", "NAT keepalives received.", TrafficCounter.Keepalives);
        Add("espalier.ike.relayed", "{packet}", "IKE messages given to the daemon's socket.", TrafficCounter.IkeRelayed);
        Add("espalier.ike.errors.relayed", "{packet}", "ICMP errors about IKE given to the daemon's socket.", TrafficCounter.IkeErrorsRelayed);
        Add("espalier.ike.errors.lost", "{packet}", "ICMP errors about IKE that could not be given to the daemon's socket.", TrafficCounter.IkeErrorsLost);
        Add("espalier.fragmented", "{packet}", "Inner IPv4 packets fragmented before ESP.", TrafficCounter.FragmentedPackets);
        Add("espalier.fragments", "{packet}", "Fragments made.", TrafficCounter.FragmentsCreated);
        Add("espalier.icmp.sent", "{packet}", "ICMP errors sent about packets too large.", TrafficCounter.IcmpErrorsSent);
        Add("espalier.icmp.withheld", "{packet}", "ICMP errors withheld.", TrafficCounter.IcmpErrorsWithheld);
        Add("espalier.icmp.ignored", "{packet}", "ICMP errors received and not believed.", TrafficCounter.IcmpErrorsIgnored);
        Add("espalier.path_mtu.learnt", "{event}", "Smaller path MTUs learnt.", TrafficCounter.PathMtuLearnt);
        Add("espalier.padding.unusual", "{packet}", "Padding other than 1, 2, 3 …", TrafficCounter.UnusualPadding);
        Add("espalier.ecn.alerts", "{packet}", "Unusual ECN combinations.", TrafficCounter.EcnAlerts);
        Add("espalier.acquires", "{event}", "ACQUIRE events.", TrafficCounter.AcquiresPosted);
        Add("espalier.mappings", "{event}", "MAPPING events.", TrafficCounter.MappingsPosted);
        Add("espalier.batches", "{batch}", "Batches handled.", TrafficCounter.Batches);
        Add("espalier.batches.missing", "{event}", "Rounds without a free batch.", TrafficCounter.BatchesMissing);
    }

    private int CountRented()
    {
        int rented = _host.Pool.Capacity - _host.Pool.Available;
        return ReferenceEquals(_host.Pool, _host.ReceivePool) ? rented : rented + _host.ReceivePool.Capacity - _host.ReceivePool.Available;
    }

    private void Add(string name, string unit, string description, TrafficCounter counter) =>
        _meter.CreateObservableCounter(name, () => _counters.Read(counter), unit, description);

    private IEnumerable<Measurement<long>> ReadDrops()
    {
        for (var reason = DropReason.None + 1; reason < DropReason.Count; reason++)
        {
            yield return new Measurement<long>(
                _counters.Read(reason),
                new("reason", reason.ToString()), new("xfrm", reason.ToXfrmStatistic().ToString()));
        }
    }

    private void AddAssociations()
    {
        _meter.CreateObservableUpDownCounter("espalier.sa.count", CountAssociations, "{sa}", "SAs in the SAD.");
        AddPerAssociation("espalier.sa.packets", "{packet}", "Authentic packets of an SA.", static sa => sa.Usage.Packets);
        AddPerAssociation("espalier.sa.bytes", "By", "Bytes of authentic inner packets of an SA.", static sa => sa.Usage.Bytes);
        AddPerAssociation("espalier.sa.replay", "{packet}", "Replayed packets of an SA.", static sa => sa.ReplayFailures);
        AddPerAssociation("espalier.sa.replay_window", "{packet}", "Packets left of the window of an SA.", static sa => sa.ReplayWindowFailures);
        AddPerAssociation("espalier.sa.integrity", "{packet}", "Packets of an SA with a wrong ICV.", static sa => sa.IntegrityFailures);
    }

    private int CountAssociations()
    {
        using var frozen = _database.Freeze();
        return _database.Sad.Count;
    }

    private void AddPerAssociation(string name, string unit, string description, Func<SecurityAssociation, ulong> read) =>
        _meter.CreateObservableCounter(name, () => ReadAssociations(read), unit, description);

    private List<Measurement<long>> ReadAssociations(Func<SecurityAssociation, ulong> read)
    {
        var values = new List<Measurement<long>>();
        using var frozen = _database.Freeze();
        foreach (var association in _database.Sad.All)
        {
            values.Add(new Measurement<long>(
                (long)read(association),
                new("spi", association.Id.Spi.ToString()), new("source", association.Source.ToString()),
                new("destination", association.Id.Destination.ToString())));
        }

        return values;
    }
}
