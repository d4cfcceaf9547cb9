using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Espalier.Benchmarks;

/// <summary>Size of inner IP packets: so many bytes, or an IMIX of several. A type of its own, since BenchmarkDotNet's tables sort strings as words: 64 after 1400.</summary>
[SuppressMessage("Design", "CA1036", Justification = "Only the tables compare sizes, and by IComparable.")]
public readonly record struct PacketSize(int Bytes) : IComparable<PacketSize>, IComparable
{
    /// <summary>Seven of 64 bytes, four of 576 and one of 1,400: the simple IMIX, its largest packet made to fit a tunnel. Sorted last.</summary>
    public static PacketSize Imix { get; } = new(int.MaxValue);

    /// <inheritdoc/>
    public int CompareTo(PacketSize other) => Bytes.CompareTo(other.Bytes);

    /// <inheritdoc/>
    public int CompareTo(object? obj) => obj is PacketSize other ? CompareTo(other) : throw new ArgumentException("not a packet size", nameof(obj));

    /// <summary>As the tables show it.</summary>
    public override string ToString() => this == Imix ? "IMIX" : Bytes.ToString(CultureInfo.InvariantCulture);
}
