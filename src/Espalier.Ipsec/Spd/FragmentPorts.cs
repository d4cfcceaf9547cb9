using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Ipsec.Spd;

/// <summary>
/// Stateful fragment checking (RFC 4301 §7.3, §7.4): remembers the protocol and ports of first fragments, so that the later fragments
/// of the same packet get the same <see cref="FlowKey"/> and thereby the same policy and SA.
/// <list type="bullet">
/// <item>A table of fixed size, allocated once, in buckets of <see cref="Ways"/>. Nothing is allocated per packet.</item>
/// <item>An entry is found by source, destination and identification, in IPv4 by the protocol too (RFC 791); in IPv6 the protocol is that of
/// the first fragment, because reassembly goes by it (RFC 8200 §4.5).</item>
/// <item>An entry lives for the maximum age after its first fragment. It is not removed earlier: fragments come in any order, and repeat.
/// A later first fragment with the same key (the identification has come round) takes its place.</item>
/// <item>Where a bucket is full, its oldest entry makes room. The later fragments of that packet then have no ports: a policy with ports refuses
/// them, so a flood of first fragments costs other fragments, and lets nothing through.</item>
/// <item>A fragment that overtakes its first one has no ports either; the first one is not waited for (no packet is kept).</item>
/// </list>
/// Owned by one worker; each direction has its own table. Fragments of different SAs share the inbound one, so that a datagram survives a rekey.
/// </summary>
public sealed class FragmentPorts
{
    /// <summary>Entries where nothing else is said: about 100 bytes each.</summary>
    public const int DefaultCapacity = 1024;

    /// <summary>Age at which an entry is forgotten where nothing else is said: the kernel's reassembly time (ipfrag_time) of 30 s.</summary>
    public const int DefaultMaximumAgeMilliseconds = 30_000;

    /// <summary>Entries of a bucket.</summary>
    public const int Ways = 4;

    private readonly Entry[] _entries;
    private readonly int _bucketMask;
    private readonly long _maximumAge;

    /// <summary>Allocates the table.</summary>
    /// <param name="capacity">Number of entries: a power of two, at least <see cref="Ways"/>.</param>
    /// <param name="maximumAgeMilliseconds">How long a first fragment is remembered.</param>
    public FragmentPorts(int capacity = DefaultCapacity, int maximumAgeMilliseconds = DefaultMaximumAgeMilliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, Ways);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maximumAgeMilliseconds);
        if (!int.IsPow2(capacity))
        {
            throw new ArgumentException("The capacity must be a power of two.", nameof(capacity));
        }

        _entries = new Entry[capacity];
        Array.Fill(_entries, new Entry());
        _bucketMask = (capacity / Ways) - 1;
        _maximumAge = maximumAgeMilliseconds;
    }

    /// <summary>First fragments remembered so far.</summary>
    public long Remembered { get; private set; }

    /// <summary>Entries that made room before their time.</summary>
    public long Evicted { get; private set; }

    /// <summary>Later fragments whose first one was not known.</summary>
    public long Unknown { get; private set; }

    /// <summary>
    /// The flow that a packet belongs to. Only a later fragment costs a look-up. One whose first one is not known gets
    /// <see cref="FlowKey.PortsKnown"/> false: it matches only selectors without ports.
    /// </summary>
    /// <param name="packet">A parsed inner packet.</param>
    /// <param name="nowMilliseconds">Any monotonic clock in milliseconds, the same for all calls.</param>
    /// <param name="flow">The flow.</param>
    /// <returns>
    /// False where not even the protocol is known (<see cref="PacketSummary.ProtocolKnown"/>) and the first fragment is not:
    /// no selector with a protocol can be decided, so the packet is to be dropped as one without ports.
    /// </returns>
    public bool TryResolve(in PacketSummary packet, long nowMilliseconds, out FlowKey flow)
    {
        byte protocol = packet.Protocol;
        ushort sourcePort = packet.SourcePort;
        ushort destinationPort = packet.DestinationPort;
        bool portsKnown = packet.PortsKnown;
        bool protocolKnown = packet.ProtocolKnown;
        if (packet.IsLaterFragment)
        {
            var bucket = BucketOf(packet);
            int index = IndexOf(bucket, packet, nowMilliseconds);
            if (index < 0)
            {
                Unknown++;
            }
            else
            {
                ref readonly var entry = ref bucket[index];
                protocol = entry.Protocol;
                sourcePort = entry.SourcePort;
                destinationPort = entry.DestinationPort;
                portsKnown = entry.PortsKnown;
                protocolKnown = true;
            }
        }

        flow = new FlowKey(packet.Source, packet.Destination, protocol, sourcePort, destinationPort, portsKnown);
        return protocolKnown;
    }

    /// <summary>
    /// Remembers the ports of a first fragment; for any other packet it does nothing. Inbound it is called only for what the SA's selector and
    /// the policy let through, so that a peer cannot put entries for the traffic of another, nor push them out with what is dropped anyway.
    /// </summary>
    /// <param name="packet">A parsed inner packet.</param>
    /// <param name="nowMilliseconds">The clock of <see cref="TryResolve"/>.</param>
    public void Remember(in PacketSummary packet, long nowMilliseconds)
    {
        if (!packet.IsFirstFragment)
        {
            return;
        }

        var bucket = BucketOf(packet);
        int index = IndexOf(bucket, packet, nowMilliseconds);
        if (index < 0)
        {
            index = 0;
            for (int i = 1; i < bucket.Length; i++)
            {
                if (bucket[i].Expires < bucket[index].Expires)
                {
                    index = i;
                }
            }

            if (bucket[index].Expires > nowMilliseconds)
            {
                Evicted++;
            }
        }

        ref var entry = ref bucket[index];
        entry.Source = packet.Source;
        entry.Destination = packet.Destination;
        entry.Expires = nowMilliseconds + _maximumAge;
        entry.Identification = packet.FragmentId;
        entry.Protocol = packet.Protocol;
        entry.SourcePort = packet.SourcePort;
        entry.DestinationPort = packet.DestinationPort;
        entry.PortsKnown = packet.PortsKnown;
        Remembered++;
    }

    // HashCode is seeded per process: who sends fragments cannot aim at a bucket.
    private Span<Entry> BucketOf(in PacketSummary packet)
    {
        int hash = HashCode.Combine(
            (ulong)packet.Source.Bits, (ulong)(packet.Source.Bits >> 64),
            (ulong)packet.Destination.Bits, (ulong)(packet.Destination.Bits >> 64), packet.FragmentId);
        return _entries.AsSpan((hash & _bucketMask) * Ways, Ways);
    }

    private static int IndexOf(ReadOnlySpan<Entry> bucket, in PacketSummary packet, long now)
    {
        for (int i = 0; i < bucket.Length; i++)
        {
            if (bucket[i].Expires > now && bucket[i].IsAbout(packet))
            {
                return i;
            }
        }

        return -1;
    }

    private struct Entry
    {
        public InternetAddress Source;
        public InternetAddress Destination;
        public long Expires;
        public uint Identification;
        public ushort SourcePort;
        public ushort DestinationPort;
        public byte Protocol;
        public bool PortsKnown;

        public Entry() => Expires = long.MinValue;

        public readonly bool IsAbout(in PacketSummary packet) =>
            Identification == packet.FragmentId && Source == packet.Source && Destination == packet.Destination &&
            (packet.Version == IpVersion.IPv6 || Protocol == packet.Protocol);
    }
}
