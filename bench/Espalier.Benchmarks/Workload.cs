using Espalier.Crypto;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Benchmarks;

/// <summary>What all benchmarks work on: sizes of inner IP packets in bytes, and the crypto engines that are there.</summary>
internal static class Workload
{
    /// <summary>Packets an operation: a whole number of rounds of <see cref="PacketSize.Imix"/>.</summary>
    internal const int Packets = 60;

    private static readonly int[] s_mix = [64, 576, 64, 64, 576, 64, 1_400, 64, 576, 64, 576, 64];

    /// <summary>Set before BenchmarkDotNet looks at the benchmarks: one size each.</summary>
    internal static bool IsGate { get; set; }

    internal static IEnumerable<PacketSize> Sizes => IsGate ? [new(1_400)] : [new(64), new(576), new(1_400), new(9_000), PacketSize.Imix];

    internal static IEnumerable<string> Engines => CryptoEngines.Survey().Where(found => found.Engine is not null).Select(found => found.Name);

    internal static CryptoEngine Engine(string name) => CryptoEngines.Choose(name) is { Refused: null } choice
        ? choice.Engine : throw new ArgumentException($"no such crypto engine here: {name}", nameof(name));

    /// <summary><see cref="Packets"/> UDP packets of IPv4 from 10.1.0.1 to 10.2.0.1, of a size of <see cref="Sizes"/>.</summary>
    internal static byte[][] Create(PacketSize size) =>
        [.. Lengths(size, Packets).Select(Packet)];

    /// <summary>Lengths of so many packets of a size of <see cref="Sizes"/>, in order.</summary>
    internal static IEnumerable<int> Lengths(PacketSize size, int packets) =>
        Enumerable.Range(0, packets).Select(i => size == PacketSize.Imix ? s_mix[i % s_mix.Length] : size.Bytes);

    private static byte[] Packet(int length)
    {
        byte[] packet = new byte[length];
        new Random(length).NextBytes(packet);
        var (source, destination) = (InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"));
        int header = PacketWriter.WriteIPv4(packet, source, destination, IpProtocol.Udp, length - 20, 0, 0);
        PacketWriter.WriteUdp(packet.AsSpan(header), source, destination, 1234, 5678);
        return packet;
    }
}
