using CsCheck;
using Espalier.Ipsec.Sad;
using Espalier.Testing;

namespace Espalier.Ipsec.Tests.Sad;

[Collection(nameof(AllocationCollection))]
public class ReplayWindowTests
{
    private const ulong TwoTo32 = 1UL << 32;

    private static readonly Gen<int> Sizes = Gen.OneOf(Gen.Int[1, 4096], Gen.OneOf(new[] { 1, 2, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 4095, 4096 }.Select(Gen.Const).ToArray()));

    [Theory]
    [InlineData(0)]
    [InlineData(4097)]
    [InlineData(-1)]
    public void Constructor_SizeOutsideOneTo4096_Throws(int size) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ReplayWindow(size, false));

    [Fact]
    public void Commit_FirstPacket_MovesTheWindow()
    {
        var window = new ReplayWindow(32, false);
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(1, out ulong sequence));
        Assert.Equal(1UL, sequence);
        Assert.Equal(0UL, window.Highest);
        Assert.Equal(ReplayVerdict.Acceptable, window.Commit(1));
        Assert.Equal(1UL, window.Highest);
        Assert.Equal(ReplayVerdict.Replayed, window.Check(1, out _));
        Assert.Equal(ReplayVerdict.Replayed, window.Commit(1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(4096)]
    public void Check_LeftEdge_IsExact(int size)
    {
        // RFC 4303 §3.4.3: the right edge is the highest number, the left edge lies size - 1 before it.
        var window = new ReplayWindow(size, false);
        window.Commit(10_000);
        Assert.Equal(size == 1 ? ReplayVerdict.Replayed : ReplayVerdict.Acceptable, window.Check((uint)(10_000 - size + 1), out _));
        Assert.Equal(ReplayVerdict.OutsideWindow, window.Check((uint)(10_000 - size), out _));
    }

    [Fact]
    public void Check_ZeroWithoutEsn_WasNeverSent()
    {
        // RFC 4303 §3.3.3: the first packet has number 1, and without ESN the number never cycles.
        var window = new ReplayWindow(32, false);
        Assert.Equal(ReplayVerdict.NeverSent, window.Check(0, out _));
        window.Commit(5);
        Assert.Equal(ReplayVerdict.NeverSent, window.Check(0, out _));
        window.Commit(1_000);
        Assert.Equal(ReplayVerdict.NeverSent, window.Check(0, out _));
        Assert.Equal(ReplayVerdict.NeverSent, window.Commit(0));
    }

    [Fact]
    public void Check_EndOfNumbersWithoutEsn_DoesNotWrap()
    {
        var window = new ReplayWindow(64, false);
        Assert.Equal(ReplayVerdict.Acceptable, window.Commit(uint.MaxValue));
        Assert.Equal(ReplayVerdict.OutsideWindow, window.Check(1, out _));
        Assert.Equal(ReplayVerdict.NeverSent, window.Commit(TwoTo32));
        Assert.Equal(uint.MaxValue, window.Highest);
    }

    [Fact]
    public void Commit_AnotherPacketOfTheBatchHadIt_IsReplayed()
    {
        var window = new ReplayWindow(64, true);
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(7, out ulong one));
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(7, out ulong two));
        Assert.Equal(ReplayVerdict.Acceptable, window.Commit(one));
        Assert.Equal(ReplayVerdict.Replayed, window.Commit(two));
    }

    // RFC 4303 appendix A2.2, window of 64. Case A: Tl >= W - 1, the window lies in one subspace.
    [Theory]
    [InlineData(0x1_0000_1000UL, 0x0000_1000u, 0x1_0000_1000UL, ReplayVerdict.Replayed)] // Tl itself
    [InlineData(0x1_0000_1000UL, 0x0000_0FC1u, 0x1_0000_0FC1UL, ReplayVerdict.Acceptable)] // Bl
    [InlineData(0x1_0000_1000UL, 0x0000_0FC0u, 0x2_0000_0FC0UL, ReplayVerdict.Acceptable)] // left of Bl: next subspace
    [InlineData(0x1_0000_1000UL, 0x0000_0000u, 0x2_0000_0000UL, ReplayVerdict.Acceptable)] // zero is a number of its own
    [InlineData(0x1_0000_1000UL, 0xFFFF_FFFFu, 0x1_FFFF_FFFFUL, ReplayVerdict.Acceptable)]
    [InlineData(0x1_0000_003FUL, 0x0000_0000u, 0x1_0000_0000UL, ReplayVerdict.Acceptable)] // Tl = W - 1, Bl = 0
    [InlineData(0x1_0000_003FUL, 0xFFFF_FFFFu, 0x1_FFFF_FFFFUL, ReplayVerdict.Acceptable)]
    // Case B: Tl < W - 1, the window spans two subspaces.
    [InlineData(0x1_0000_003EUL, 0xFFFF_FFFFu, 0x0_FFFF_FFFFUL, ReplayVerdict.Acceptable)] // Bl, of the subspace before
    [InlineData(0x1_0000_003EUL, 0xFFFF_FFFEu, 0x1_FFFF_FFFEUL, ReplayVerdict.Acceptable)]
    [InlineData(0x1_0000_0000UL, 0xFFFF_FFC1u, 0x0_FFFF_FFC1UL, ReplayVerdict.Acceptable)] // Bl
    [InlineData(0x1_0000_0000UL, 0xFFFF_FFC0u, 0x1_FFFF_FFC0UL, ReplayVerdict.Acceptable)]
    [InlineData(0x1_0000_0000UL, 0x0000_0000u, 0x1_0000_0000UL, ReplayVerdict.Replayed)]
    [InlineData(0x1_0000_0000UL, 0x0000_0001u, 0x1_0000_0001UL, ReplayVerdict.Acceptable)]
    // The first subspace: nothing lies left of it.
    [InlineData(0x0_0000_0001UL, 0xFFFF_FFFFu, 0UL, ReplayVerdict.OutsideWindow)]
    [InlineData(0x0_0000_0001UL, 0x0000_0000u, 0UL, ReplayVerdict.NeverSent)]
    [InlineData(0x0_0000_0001UL, 0xFFFF_FFC1u, 0xFFFF_FFC1UL, ReplayVerdict.Acceptable)]
    // The last subspace: nothing lies right of it.
    [InlineData(0xFFFF_FFFF_0000_1000UL, 0x0000_0FC0u, 0UL, ReplayVerdict.NeverSent)]
    [InlineData(0xFFFF_FFFF_0000_1000UL, 0xFFFF_FFFFu, 0xFFFF_FFFF_FFFF_FFFFUL, ReplayVerdict.Acceptable)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL, 0x0000_0000u, 0UL, ReplayVerdict.NeverSent)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL, 0xFFFF_FFFFu, 0xFFFF_FFFF_FFFF_FFFFUL, ReplayVerdict.Replayed)]
    public void Check_Esn_InfersTheHighHalf(ulong highest, uint low, ulong expected, ReplayVerdict verdict)
    {
        var window = new ReplayWindow(64, true);
        window.Commit(highest);
        Assert.Equal(verdict, window.Check(low, out ulong sequence));
        if (expected != 0)
        {
            Assert.Equal(expected, sequence);
        }
    }

    [Fact]
    public void Property_AnyRunOfPackets_AgreesWithTheSet()
    {
        var start = Gen.OneOf(
            Gen.Const(0UL), Gen.ULong[0, 5_000], Gen.ULong[TwoTo32 - 5_000, TwoTo32 + 5_000], Gen.ULong[ulong.MaxValue - 5_000, ulong.MaxValue],
            Gen.ULong[3 * TwoTo32 - 5_000, 3 * TwoTo32 + 5_000], Gen.ULong);
        var step = Gen.OneOf(
            Gen.Long[-3, 3], Gen.Long[-200, 200], Gen.Long[-5_000, 5_000], Gen.Long[-(long)TwoTo32 - 50, -(long)TwoTo32 + 50],
            Gen.Long[(long)TwoTo32 - 50, (long)TwoTo32 + 50], Gen.Long);
        Gen.Select(Sizes, Gen.Bool, start, step.Array[1, 200]).Sample(
            (size, extended, first, steps) => Compare(size, extended, extended ? first : (uint)first, steps), iter: 2_000);
    }

    [Fact]
    public void Property_SaveAndRestore_KeepTheWindow()
    {
        var start = Gen.OneOf(Gen.ULong[0, 5_000], Gen.ULong[TwoTo32 - 5_000, TwoTo32 + 5_000], Gen.ULong[ulong.MaxValue - 5_000, ulong.MaxValue]);
        Gen.Select(Sizes, Gen.Bool, start, Gen.Int[-5_000, 200].Array[0, 200]).Sample(
            (size, extended, first, steps) =>
            {
                var window = new ReplayWindow(size, extended);
                foreach (ulong sequence in Walk(window, extended, extended ? first : Math.Min(first, uint.MaxValue), steps))
                {
                    window.Commit(sequence);
                }

                var copy = new ReplayWindow(size, extended);
                uint[] bitmap = new uint[(size + 31) / 32];
                window.Save(bitmap);
                copy.Restore(window.Highest, bitmap);
                AssertSame(window, copy);

                if (!extended && size <= 32)
                {
                    var legacy = new ReplayWindow(size, false);
                    legacy.RestoreLegacy((uint)window.Highest, window.SaveLegacy());
                    AssertSame(window, legacy);
                }
            },
            iter: 1_000);
    }

    [Fact]
    public void Save_LegacyLayout_IsTheKernels()
    {
        // xfrm_replay_advance: bit 0 is the highest, bit n the n-th before it.
        var window = new ReplayWindow(32, false);
        foreach (uint sequence in (uint[])[1, 2, 5])
        {
            window.Commit(sequence);
        }

        Assert.Equal(0b11001u, window.SaveLegacy());
    }

    [Fact]
    public void Save_EsnLayout_IsTheKernels()
    {
        // xfrm_replay_advance_bmp: number s has bit (s - 1) mod window.
        var window = new ReplayWindow(100, false);
        foreach (uint sequence in (uint[])[198, 199, 201, 203])
        {
            window.Commit(sequence);
        }

        uint[] bitmap = new uint[5];
        bitmap.AsSpan().Fill(0xFFFF_FFFF);
        window.Save(bitmap);
        Assert.Equal([(1u << 0) | (1u << 2), 0u, 0u, (1u << (97 - 96)) | (1u << (98 - 96)), 0u], bitmap);
    }

    [Fact]
    public void Property_SavedBitmap_IsWhatTheKernelsAdvanceWrites()
    {
        // The kernel's own way, in words: clear the bits between, set the bit, positions turn with the window. Low halves that cross 2^32 included.
        var start = Gen.OneOf(Gen.ULong[0, 3_000], Gen.ULong[TwoTo32 - 3_000, TwoTo32 + 100]);
        Gen.Select(Sizes, start, Gen.Int[-3_000, 200].Array[1, 200]).Sample(
            (size, first, steps) =>
            {
                // Turning positions agree with (s - 1) mod window across 2^32 only for powers of two: the kernel's reading of its own state does not either.
                bool crosses = first > TwoTo32 - 50_000;
                size = crosses ? (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)size) : size;
                size = Math.Min(size, 4096);
                var window = new ReplayWindow(size, true);
                var bits = new bool[size];
                foreach (ulong sequence in Walk(window, true, first, steps))
                {
                    ulong before = window.Highest;
                    if (window.Commit(sequence) != ReplayVerdict.Acceptable)
                    {
                        continue;
                    }

                    ulong size64 = (ulong)size;
                    for (ulong s = before + 1; s < sequence && s - before <= size64; s++)
                    {
                        bits[(uint)(s - 1) % (uint)size] = false;
                    }

                    if (sequence > before && sequence - before >= size64)
                    {
                        Array.Clear(bits);
                    }

                    bits[(uint)(sequence - 1) % (uint)size] = true;
                }

                uint[] bitmap = new uint[(size + 31) / 32];
                window.Save(bitmap);
                for (int i = 0; i < size; i++)
                {
                    Assert.Equal(bits[i], (bitmap[i / 32] >> (i % 32) & 1) != 0);
                }
            },
            iter: 1_000);
    }

    [Fact]
    public void Restore_BitmapTooShort_MissingWordsAreZero()
    {
        var window = new ReplayWindow(64, false);
        window.Restore(64, [uint.MaxValue]);
        Assert.Equal(64UL, window.Highest);
        Assert.Equal(ReplayVerdict.Replayed, window.Check(32, out _));
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(33, out _));
    }

    [Fact]
    public void Restore_OverAWindowInUse_ForgetsIt()
    {
        var window = new ReplayWindow(64, false);
        window.Commit(10);
        window.Restore(20, []);
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(10, out _));
        Assert.Equal(ReplayVerdict.Acceptable, window.Check(20, out _));
        window.Restore(5, []);
        Assert.Equal(5UL, window.Highest);
    }

    [Fact]
    public void CheckAndCommit_AMillionPackets_AllocateNothing()
    {
        var window = new ReplayWindow(4096, true);
        window.Commit(1);
        uint i = 2;
        long allocated = Allocation.Least(() =>
        {
            for (uint end = i + 200_000; i < end; i++)
            {
                window.Check(i, out ulong sequence);
                window.Commit(sequence);
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(i - 1UL, window.Highest);
    }

    private static void Compare(int size, bool extended, ulong first, long[] steps)
    {
        var window = new ReplayWindow(size, extended);
        var model = new ReplayModel(size, extended);
        ulong at = first;
        foreach (long step in steps)
        {
            at = unchecked(at + (ulong)step);
            uint low = (uint)at;
            var (expected, full) = model.Check(low);
            ulong highest = window.Highest;
            Assert.Equal(expected, window.Check(low, out ulong sequence));
            Assert.Equal(highest, window.Highest);
            if (full is { } value)
            {
                Assert.Equal(value, sequence);
            }

            // What the sender really sent; it need not be what the receiver inferred, and then its ICV fails and nothing is committed.
            ulong sent = extended ? at : low;
            Assert.Equal(model.Commit(sent), window.Commit(sent));
            Assert.Equal(model.Highest, window.Highest);
        }
    }

    private static IEnumerable<ulong> Walk(ReplayWindow window, bool extended, ulong first, int[] steps)
    {
        yield return first;
        foreach (int step in steps)
        {
            Int128 next = (Int128)window.Highest + step;
            Int128 last = extended ? ulong.MaxValue : uint.MaxValue;
            yield return (ulong)(next < 1 ? 1 : next > last ? last : next);
        }
    }

    private static void AssertSame(ReplayWindow one, ReplayWindow other)
    {
        Assert.Equal(one.Highest, other.Highest);
        for (ulong back = 0; back <= (ulong)one.Size + 1 && back <= one.Highest; back++)
        {
            uint low = (uint)(one.Highest - back);
            Assert.Equal(one.Check(low, out ulong a), other.Check(low, out ulong b));
            Assert.Equal(a, b);
        }
    }
}
