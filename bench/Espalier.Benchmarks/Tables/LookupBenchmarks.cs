using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;
using Espalier.Benchmarks.LibipsecStyle;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Benchmarks.Tables;

/// <summary>
/// What a packet's look-ups cost with 1, 100 and 10,000 SAs and policies: any of them in turn, so that no cache knows them all. Beside ours the
/// linked lists of libipsec, whose cost grows with the entries.
/// </summary>
[MemoryDiagnoser]
public class LookupBenchmarks
{
    private const int Lookups = 64;
    private static readonly InternetAddress s_own = InternetAddress.Parse("192.0.2.1");
    private readonly SecurityAssociationDatabase _sad = new();
    private readonly SecurityPolicyDatabase _spd = new();
    private readonly SaManager _saList = new();
    private readonly PolicyManager _policyList = new();
    private readonly SaIdentity[] _identities = new SaIdentity[Lookups];
    private readonly FlowKey[] _flows = new FlowKey[Lookups];
    private readonly IpPacket[] _packets = new IpPacket[Lookups];
    private FlowCache _cache = null!;

    [ParamsSource(nameof(Counts))]
    public int Entries { get; set; }

    public static IEnumerable<int> Counts => Workload.IsGate ? [100] : [1, 100, 10_000];

    [GlobalSetup]
    public void Setup()
    {
        for (int i = 0; i < Entries; i++)
        {
            var association = new SecurityAssociation { Id = Identity(i), Source = Peer(i), State = SaState.Valid };
            var policy = new SecurityPolicy
            {
                Selector = new TrafficSelector(new AddressPrefix(s_own, 32), new AddressPrefix(Inner(i), 32), 0, 0, 0, 0, 0),
                Direction = PolicyDirection.Out,
                Priority = 1,
            };
            if (!_sad.TryAdd(association) || !_spd.TryAdd(policy))
            {
                throw new InvalidOperationException("not added");
            }

            _saList.Add(new LibipsecSa(Identity(i).Spi.Value, new HostAddress(Peer(i), 0), new HostAddress(s_own, 0), 1, true, null!));
            _policyList.Add(new LibipsecPolicy(policy.Selector, IsInbound: false, 1));
        }

        var random = new Random(1);
        for (int i = 0; i < Lookups; i++)
        {
            int entry = random.Next(Entries);
            _identities[i] = Identity(entry);
            _flows[i] = new FlowKey(s_own, Inner(entry), IpProtocol.Udp, 1234, 5678);
            _packets[i] = Packet(_flows[i]);
        }

        _cache = new FlowCache(_spd);
    }

    [Benchmark(OperationsPerInvoke = Lookups)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Sad()
    {
        int found = 0;
        foreach (var identity in _identities)
        {
            found += _sad.Find(identity) is null ? 0 : 1;
        }

        return found;
    }

    [Benchmark(OperationsPerInvoke = Lookups)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Spd()
    {
        int found = 0;
        foreach (ref readonly var flow in _flows.AsSpan())
        {
            found += _spd.Lookup(flow, PolicyDirection.Out, out _) == PolicyVerdict.Found ? 1 : 0;
        }

        return found;
    }

    /// <summary>The SPD behind a worker's flow cache, as the outbound pipeline asks it.</summary>
    [Benchmark(OperationsPerInvoke = Lookups)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int FlowCache()
    {
        int found = 0;
        foreach (ref readonly var flow in _flows.AsSpan())
        {
            found += _cache.Lookup(flow, PolicyDirection.Out, out _) == PolicyVerdict.Found ? 1 : 0;
        }

        return found;
    }

    /// <summary>Check out and check in of an SA in libipsec's list.</summary>
    [Benchmark(OperationsPerInvoke = Lookups)]
    public int LibipsecStyleSad()
    {
        int found = 0;
        foreach (var identity in _identities)
        {
            if (_saList.CheckoutBySpi(identity.Spi.Value, identity.Destination) is { } sa)
            {
                _saList.Checkin(sa);
                found++;
            }
        }

        return found;
    }

    /// <summary>The policy of a packet in libipsec's list.</summary>
    [Benchmark(OperationsPerInvoke = Lookups)]
    public int LibipsecStyleSpd()
    {
        int found = 0;
        foreach (var packet in _packets)
        {
            found += _policyList.FindByPacket(packet, inbound: false) is null ? 0 : 1;
        }

        return found;
    }

    private static IpPacket Packet(in FlowKey flow)
    {
        byte[] bytes = new byte[64];
        int header = PacketWriter.WriteIPv4(bytes, flow.Source, flow.Destination, IpProtocol.Udp, bytes.Length - 20, 0, 0);
        PacketWriter.WriteUdp(bytes.AsSpan(header), flow.Source, flow.Destination, flow.SourcePort, flow.DestinationPort);
        return IpPacket.Create(bytes) ?? throw new InvalidOperationException("no packet");
    }

    private static SaIdentity Identity(int i) => new(new Spi((uint)(0x1000 + i)), s_own);

    private static InternetAddress Peer(int i) => InternetAddress.Parse($"198.51.{i >> 8}.{i & 255}");

    private static InternetAddress Inner(int i) => InternetAddress.Parse($"10.2.{i >> 8}.{i & 255}");
}
