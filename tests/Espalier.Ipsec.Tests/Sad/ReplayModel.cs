using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Tests.Sad;

/// <summary>
/// The window as a set of all numbers ever taken: naive, and written from RFC 4303 alone. The full number is not inferred by comparing halves:
/// of all numbers that end in the 32 bits of the packet, it is the smallest that is not left of the window (§A2.1: "the number can only be
/// in the window or right of it").
/// </summary>
internal sealed class ReplayModel(int size, bool extended)
{
    private readonly HashSet<ulong> taken = [];

    public ulong Highest { get; private set; }

    /// <summary>The verdict for what a packet carries; null sequence where no 64-bit number fits.</summary>
    public (ReplayVerdict Verdict, ulong? Sequence) Check(uint low)
    {
        if (!extended)
        {
            return (Judge(low), low);
        }

        // Left edge of the window as a signed number: before the first number there is nothing.
        Int128 bottom = (Int128)Highest - size + 1;
        Int128 candidate = low;
        if (candidate - ((Int128)1 << 32) >= bottom)
        {
            // The window reaches left of zero, and this number would lie there.
            return (ReplayVerdict.OutsideWindow, null);
        }

        if (candidate < bottom)
        {
            // Whole subspaces up to the first that reaches the left edge.
            candidate += (bottom - candidate + ((Int128)1 << 32) - 1) >> 32 << 32;
        }

        return candidate > ulong.MaxValue ? (ReplayVerdict.NeverSent, null) : (Judge((ulong)candidate), (ulong)candidate);
    }

    public ReplayVerdict Commit(ulong sequence)
    {
        var verdict = Judge(sequence);
        if (verdict == ReplayVerdict.Acceptable)
        {
            taken.Add(sequence);
            Highest = Math.Max(Highest, sequence);
        }

        return verdict;
    }

    private ReplayVerdict Judge(ulong sequence) =>
        sequence == 0 || (!extended && sequence > uint.MaxValue) ? ReplayVerdict.NeverSent
        : (Int128)sequence < (Int128)Highest - size + 1 ? ReplayVerdict.OutsideWindow
        : taken.Contains(sequence) ? ReplayVerdict.Replayed
        : ReplayVerdict.Acceptable;
}
