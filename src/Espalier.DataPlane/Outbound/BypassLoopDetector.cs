using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// Finds packets that were sent in clear and come back to the TUN, because some route sends marked packets there too.
/// An application may send equal packets, so that equality proves nothing. But a packet that equals one sent shortly before leaves with its
/// Time to Live lowered by one. A copy of the application's comes in with the application's own value again; only a packet that has been
/// around the loop can come in with the value that this detector gave it. Then it is dropped. A loop is so ended in its third round,
/// and nothing else is ever dropped. Fixed memory; one worker's.
/// </summary>
internal sealed class BypassLoopDetector
{
    // A full TUN queue (txqueuelen 500) of different packets in one loop has room: about one packet a bucket.
    private const int Buckets = 512;
    private const int Ways = 8;
    private const int HashedBytes = 128;
    private const long MemoryMilliseconds = 1000;

    // A packet that has no hop to lose cannot be told from its copies: so many equal ones pass in the time of memory.
    private const int UnmarkedCopies = 64;

    private readonly Entry[] _entries = new Entry[Buckets * Ways];
    private readonly ulong _seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
    private uint _evictions;

    /// <summary>Looks at a packet about to be sent in clear, and may lower its Time to Live in place.</summary>
    /// <returns>True if it has come back.</returns>
    public bool IsLoop(Span<byte> packet, IpVersion version, long milliseconds)
    {
        int position = version == IpVersion.IPv4 ? 8 : 7;
        byte timeToLive = packet[position];
        ulong hash = Hash(packet, version);
        ref var entry = ref Find(hash, milliseconds);
        if (entry.Hash != hash)
        {
            entry = new Entry { Hash = hash, Milliseconds = milliseconds, Original = timeToLive, Sent = timeToLive };
            return false;
        }

        if (entry.Sent != entry.Original && timeToLive == entry.Sent)
        {
            return true;
        }

        if (timeToLive <= 1)
        {
            return ++entry.Copies > UnmarkedCopies;
        }

        entry.Milliseconds = milliseconds;
        entry.Original = timeToLive;
        entry.Sent = (byte)(timeToLive - 1);
        Lower(packet, version, position);
        return false;
    }

    // The entry of this packet, or one to take: a free or old one, else any, so that no set of packets can keep each other out for ever.
    private ref Entry Find(ulong hash, long milliseconds)
    {
        var bucket = _entries.AsSpan((int)(hash % Buckets) * Ways, Ways);
        int free = -1;
        for (int i = 0; i < bucket.Length; i++)
        {
            bool isOld = bucket[i].Hash == 0 || milliseconds - bucket[i].Milliseconds > MemoryMilliseconds;
            if (bucket[i].Hash == hash && !isOld)
            {
                return ref bucket[i];
            }

            free = isOld ? i : free;
        }

        ref var taken = ref bucket[free >= 0 ? free : (int)(_evictions++ * 0x9E37_79B9u >> 29)];
        taken.Hash = 0;
        return ref taken;
    }

    private static void Lower(Span<byte> packet, IpVersion version, int position)
    {
        if (version == IpVersion.IPv6)
        {
            packet[position]--;
            return;
        }

        ushort before = BinaryPrimitives.ReadUInt16BigEndian(packet[8..]);
        packet[position]--;
        ushort after = BinaryPrimitives.ReadUInt16BigEndian(packet[8..]);
        ushort checksum = BinaryPrimitives.ReadUInt16BigEndian(packet[10..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], InternetChecksum.Update(checksum, before, after));
    }

    // All of the head of the packet but the Time to Live and what changes with it. Not keyed against an adversary beyond its seed: a collision
    // costs a packet one hop.
    private ulong Hash(ReadOnlySpan<byte> packet, IpVersion version)
    {
        var head = packet[..Math.Min(packet.Length, HashedBytes)];
        ulong hash = _seed ^ (ulong)packet.Length;
        int i = 0;
        for (; i + 8 <= head.Length; i += 8)
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(head[i..]);
            if (i == 0 && version == IpVersion.IPv6)
            {
                word &= ~0xFFul;
            }
            else if (i == 8 && version == IpVersion.IPv4)
            {
                // Time to Live and header checksum.
                word &= ~0xFF00_FFFF_0000_0000ul;
            }

            hash = BitOperations.RotateLeft((hash ^ word) * 0x9E37_79B9_7F4A_7C15ul, 29);
        }

        for (; i < head.Length; i++)
        {
            hash = BitOperations.RotateLeft((hash ^ head[i]) * 0x9E37_79B9_7F4A_7C15ul, 29);
        }

        return hash == 0 ? 1 : hash;
    }

    private struct Entry
    {
        public ulong Hash;
        public long Milliseconds;
        public byte Original;
        public byte Sent;
        public ushort Copies;
    }
}
