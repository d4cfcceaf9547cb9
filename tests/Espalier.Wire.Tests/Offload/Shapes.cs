using CsCheck;

namespace Espalier.Wire.Tests.Offload;

/// <summary>Random packets for property tests.</summary>
internal static class Shapes
{
    /// <summary>A timestamp option (RFC 7323 §3.2) after two no-operations, as the kernel sends it.</summary>
    internal static readonly byte[] Timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

    /// <summary>Packets whose payload is up to <paramref name="maximum"/> bytes.</summary>
    internal static Gen<PacketShape> Any(int maximum) =>
        Gen.Select(Gen.Int[0, int.MaxValue], Gen.Int[0, maximum]).Select((seed, size) => Random(new Random(seed), size));

    /// <summary>A packet of <paramref name="size"/> bytes of payload, all else at random.</summary>
    internal static PacketShape Random(Random random, int size)
    {
        byte[] payload = new byte[size];
        random.NextBytes(payload);
        byte[] tcpOptions = random.Next(3) switch { 0 => [], 1 => Timestamps, _ => [.. Timestamps, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1] };
        byte[] extensionHeaders = random.Next(4) switch { 0 => [0, 60], 1 => [43], 2 => [60], _ => [] };
        return new PacketShape
        {
            IsIPv6 = random.Next(2) == 0,
            IsTcp = random.Next(3) != 0,
            Hosts = (byte)random.Next(1, 4),
            SourcePort = (ushort)random.Next(40000, 40003),
            TrafficClass = (byte)random.Next(256),
            TimeToLive = (byte)random.Next(1, 256),
            FlowLabel = random.Next(1 << 20),
            Options = random.Next(4) == 0 ? [0x94, 4, 0, 0, 1, 1, 1, 0] : [],
            ExtensionHeaders = random.Next(3) == 0 ? extensionHeaders : [],
            SegmentsLeft = (byte)random.Next(2),
            Identification = (ushort)random.Next(65536),
            DontFragment = random.Next(2) == 0,
            Sequence = (uint)random.NextInt64(1L << 32),
            Acknowledgment = (uint)random.NextInt64(1L << 32),
            Flags = (byte)random.Next(256),
            Window = (ushort)random.Next(65536),
            UrgentPointer = random.Next(4) == 0 ? (ushort)5 : (ushort)0,
            TcpOptions = tcpOptions,
            Payload = payload,
        };
    }
}
