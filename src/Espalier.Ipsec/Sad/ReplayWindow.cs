using System.Numerics;
using System.Runtime.CompilerServices;

namespace Espalier.Ipsec.Sad;

/// <summary>Result of a replay check.</summary>
public enum ReplayVerdict : byte
{
    /// <summary>May be new: verify the ICV, then commit.</summary>
    Acceptable,

    /// <summary>Received before.</summary>
    Replayed,

    /// <summary>Left of the window.</summary>
    OutsideWindow,

    /// <summary>A number that no sender may use: zero (64-bit zero with ESN), or one past the last.</summary>
    NeverSent,
}

/// <summary>
/// The anti-replay window of one inbound SA (RFC 4303 §3.4.3 and appendix A), 1 to 4,096 packets, with 32- or 64-bit sequence numbers.
/// Owned by the worker that handles the SA; never checked and changed by two threads at once.
/// </summary>
/// <remarks>
/// A ring of 64-bit words, bit <c>sequence mod 64</c> of word <c>sequence / 64 mod length</c>. The ring is longer than the window by at least
/// one word, so that a word is cleared as a whole when the highest number enters it.
/// </remarks>
public sealed class ReplayWindow
{
    /// <summary>Largest window, in packets (the kernel's XFRMA_REPLAY_ESN_MAX).</summary>
    public const int MaximumSize = 4096;

    private readonly ulong[] ring;
    private readonly ulong ringMask;
    private readonly bool extended;

    /// <summary>Creates an empty window.</summary>
    public ReplayWindow(int size, bool extendedSequenceNumbers)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, MaximumSize);
        Size = size;
        extended = extendedSequenceNumbers;
        ring = new ulong[BitOperations.RoundUpToPowerOf2((uint)(((size + 63) / 64) + 1))];
        ringMask = (ulong)ring.Length - 1;
    }

    /// <summary>Size in packets.</summary>
    public int Size { get; }

    /// <summary>Highest 64-bit sequence number committed.</summary>
    public ulong Highest { get; private set; }

    /// <summary>Infers the 64-bit sequence number (RFC 4303 §2.2.1, appendix A2.2) and checks it. Changes nothing.</summary>
    /// <param name="sequenceLow">The 32 bits that the packet carries.</param>
    /// <param name="sequence">The full number, also where the verdict is not Acceptable.</param>
    public ReplayVerdict Check(uint sequenceLow, out ulong sequence)
    {
        sequence = sequenceLow;
        if (extended)
        {
            uint topLow = (uint)Highest;
            uint topHigh = (uint)(Highest >> 32);
            uint bottomLow = unchecked(topLow - (uint)Size + 1);
            if (topLow >= (uint)Size - 1)
            {
                // Case A: the window lies in one subspace. Left of it means the next subspace.
                if (sequenceLow < bottomLow)
                {
                    if (topHigh == uint.MaxValue)
                    {
                        return ReplayVerdict.NeverSent;
                    }

                    topHigh++;
                }
            }
            else if (sequenceLow >= bottomLow)
            {
                // Case B: the window spans two subspaces; this is its left part. Before the first subspace there is nothing.
                if (topHigh == 0)
                {
                    return ReplayVerdict.OutsideWindow;
                }

                topHigh--;
            }

            sequence = ((ulong)topHigh << 32) | sequenceLow;
        }

        return CheckFull(sequence);
    }

    /// <summary>
    /// Checks a full number again after its ICV verified (another packet of the batch may have had it) and marks it; changes nothing unless Acceptable.
    /// </summary>
    public ReplayVerdict Commit(ulong sequence)
    {
        var verdict = CheckFull(sequence);
        if (verdict == ReplayVerdict.Acceptable)
        {
            if (sequence > Highest)
            {
                Advance(sequence);
            }

            ring[(sequence >> 6) & ringMask] |= 1UL << (int)(sequence & 63);
        }

        return verdict;
    }

    /// <summary>
    /// Sets the state (NEWAE, UPDSA) from the kernel's xfrm_replay_state_esn: packet Highest has bit (low half of Highest - 1) mod Size,
    /// the packet before it the bit before it, and so on round. Words that are missing count as zero.
    /// </summary>
    public void Restore(ulong highest, ReadOnlySpan<uint> kernelBitmap)
    {
        Reset(highest);
        uint top = TopPosition(highest);
        for (uint back = 0; back < (uint)Size && back < highest; back++)
        {
            uint position = (top + (uint)Size - back) % (uint)Size;
            if (position >> 5 < (uint)kernelBitmap.Length && (kernelBitmap[(int)(position >> 5)] >> (int)(position & 31) & 1) != 0)
            {
                Mark(highest - back);
            }
        }
    }

    /// <summary>Gives the bitmap in the kernel's layout of xfrm_replay_state_esn (see <see cref="Restore"/>); needs (Size + 31) / 32 words, clears the rest.</summary>
    public void Save(Span<uint> kernelBitmap)
    {
        kernelBitmap.Clear();
        uint top = TopPosition(Highest);
        for (uint back = 0; back < (uint)Size && back < Highest; back++)
        {
            if (IsMarked(Highest - back))
            {
                uint position = (top + (uint)Size - back) % (uint)Size;
                kernelBitmap[(int)(position >> 5)] |= 1u << (int)(position & 31);
            }
        }
    }

    /// <summary>Sets the state from the kernel's xfrm_replay_state: bit 0 is packet <paramref name="highest"/>, bit n the n-th before it.</summary>
    public void RestoreLegacy(uint highest, uint kernelBitmap)
    {
        Reset(highest);
        for (int back = 0; back < Math.Min(Size, 32) && (uint)back < highest; back++)
        {
            if ((kernelBitmap >> back & 1) != 0)
            {
                Mark(highest - (uint)back);
            }
        }
    }

    /// <summary>Gives the bitmap of the kernel's xfrm_replay_state: bit 0 is <see cref="Highest"/>, bit n the n-th before it.</summary>
    public uint SaveLegacy()
    {
        uint bitmap = 0;
        for (int back = 0; back < Math.Min(Size, 32) && (ulong)back < Highest; back++)
        {
            bitmap |= IsMarked(Highest - (ulong)back) ? 1u << back : 0;
        }

        return bitmap;
    }

    private uint TopPosition(ulong highest) => unchecked((uint)highest - 1) % (uint)Size;

    private bool IsMarked(ulong sequence) => (ring[(sequence >> 6) & ringMask] >> (int)(sequence & 63) & 1) != 0;

    private void Mark(ulong sequence) => ring[(sequence >> 6) & ringMask] |= 1UL << (int)(sequence & 63);

    private void Reset(ulong highest)
    {
        Array.Clear(ring);
        Highest = extended ? highest : (uint)highest;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ReplayVerdict CheckFull(ulong sequence)
    {
        if (sequence > Highest)
        {
            // Without ESN there is nothing past 2^32-1: the SA must be replaced.
            return extended || sequence <= uint.MaxValue ? ReplayVerdict.Acceptable : ReplayVerdict.NeverSent;
        }

        if (sequence == 0)
        {
            return ReplayVerdict.NeverSent;
        }

        return Highest - sequence >= (ulong)Size ? ReplayVerdict.OutsideWindow
            : IsMarked(sequence) ? ReplayVerdict.Replayed : ReplayVerdict.Acceptable;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Advance(ulong sequence)
    {
        ulong from = Highest >> 6;
        ulong words = Math.Min((sequence >> 6) - from, (ulong)ring.Length);
        for (ulong i = 1; i <= words; i++)
        {
            ring[(from + i) & ringMask] = 0;
        }

        Highest = sequence;
    }
}
