using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// Where transforms take the random part of their IVs from: the salt of counter IVs, once for each transform, and one block a
/// packet for CBC. Safe for several threads. Tests put their own in its place to reproduce a published packet.
/// </summary>
internal abstract class IvEntropy
{
    /// <summary>The operating system's generator, read in runs of <see cref="SystemIvEntropy.PoolLength"/> bytes.</summary>
    public static IvEntropy Shared { get; } = new SystemIvEntropy();

    /// <summary>Fills <paramref name="destination"/>, at most 64 bytes.</summary>
    public abstract void Fill(Span<byte> destination);

    /// <summary>The salt of the counter IVs of one transform.</summary>
    public virtual ulong CounterSalt()
    {
        Span<byte> salt = stackalloc byte[sizeof(ulong)];
        Fill(salt);
        return BinaryPrimitives.ReadUInt64BigEndian(salt);
    }

    /// <summary>
    /// The same source for all the transforms of one SA that may seal beside each other: their counter IVs have one salt, so that a number never gives the IV of
    /// another number.
    /// </summary>
    public IvEntropy OfOneSa() => new SaIvEntropy(this);

    private sealed class SaIvEntropy(IvEntropy source) : IvEntropy
    {
        private readonly ulong _salt = source.CounterSalt();

        public override ulong CounterSalt() => _salt;

        public override void Fill(Span<byte> destination) => source.Fill(destination);
    }

    private sealed class SystemIvEntropy : IvEntropy
    {
        /// <summary>One call of the generator costs as much as a small packet's MAC; a run of 32 blocks makes that small.</summary>
        public const int PoolLength = 512;

        [ThreadStatic]
        private static byte[]? s_pool;

        [ThreadStatic]
        private static int s_used;

        public override void Fill(Span<byte> destination)
        {
            byte[]? pool = s_pool;
            if (pool is null || pool.Length - s_used < destination.Length)
            {
                s_pool = pool ??= GC.AllocateUninitializedArray<byte>(PoolLength, pinned: true);
                RandomNumberGenerator.Fill(pool);
                s_used = 0;
            }

            var taken = pool.AsSpan(s_used, destination.Length);
            taken.CopyTo(destination);
            taken.Clear();
            s_used += destination.Length;
        }
    }
}
