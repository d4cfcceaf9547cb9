using System.Reflection;
using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Tests;
using Espalier.Ipsec.Tests.Algorithms;

namespace Espalier.Crypto.Tests;

/// <summary>Forged packets, batches, memory and the end of a cipher.</summary>
[Collection(nameof(AllocationCollection))]
public sealed class CipherTests
{
    private static readonly byte[] s_key = [.. Enumerable.Range(1, 16).Select(value => (byte)value)];

    public static TheoryData<string, AeadMode, int> Ciphers
    {
        get
        {
            var data = new TheoryData<string, AeadMode, int>();
            foreach (string engine in Engines.Names)
            {
                Array.ForEach([8, 12, 16], tag => data.Add(engine, AeadMode.AesGcm, tag));
            }

            data.Add("openssl", AeadMode.ChaCha20Poly1305, 16);
            return data;
        }
    }

    public static TheoryData<string> NativeEngines => new(Engines.Native);

    [Theory]
    [MemberData(nameof(Ciphers))]
    public void TryOpen_AnyBitFlipped_IsFalseAndLeavesNoPlaintext(string name, AeadMode mode, int tagLength)
    {
        var engine = Engines.Open(name);
        byte[] key = [.. s_key, .. mode == AeadMode.AesGcm ? [] : s_key], nonce = new byte[12], aad = new byte[8], text = new byte[64], tag = new byte[tagLength];
        using var sealer = engine.Create(mode, key, tagLength, TransformDirection.Seal);
        using var opener = engine.Create(mode, key, tagLength, TransformDirection.Open);
        byte[] plaintext = [.. text];
        Assert.True(sealer.TrySeal(nonce, aad, text, tag));
        byte[][] parts = [nonce, aad, text, tag];
        foreach (byte[] part in parts)
        {
            for (int bit = 0; bit < part.Length * 8; bit++)
            {
                part[bit / 8] ^= (byte)(1 << (bit % 8));
                byte[] opened = [.. text];
                Assert.False(opener.TryOpen(nonce, aad, opened, tag));
                int same = opened.Zip(plaintext, (left, right) => left == right ? 1 : 0).Sum();
                Assert.True(same < 16 || opened.All(value => value == 0), $"{same} of {opened.Length} bytes are those of the plaintext");
                part[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }

        Assert.True(opener.TryOpen(nonce, aad, text, tag));
        Assert.Equal(plaintext, text);
    }

    [Theory]
    [MemberData(nameof(Ciphers))]
    public void SealAndOpen_AfterDispose_AreFalse(string name, AeadMode mode, int tagLength)
    {
        var engine = Engines.Open(name);
        byte[] key = [.. s_key, .. mode == AeadMode.AesGcm ? [] : s_key], nonce = new byte[12], text = new byte[32], tag = new byte[tagLength];
        foreach (var direction in Enum.GetValues<TransformDirection>())
        {
            var cipher = engine.Create(mode, key, tagLength, direction);
            var handles = cipher.GetType().GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Select(field => field.GetValue(cipher)).OfType<SafeHandle>().ToArray();
            Assert.Equal(Engines.Native.Contains(name) ? 1 : 0, handles.Length);
            cipher.Dispose();
            cipher.Dispose();
            Assert.All(handles, handle => Assert.True(handle.IsClosed));
            Assert.False(cipher.TrySeal(nonce, nonce, text, tag));
            Assert.False(cipher.TryOpen(nonce, nonce, text, tag));
        }
    }

    [Theory]
    [MemberData(nameof(NativeEngines))]
    public void Batch_OneFrameForged_DropsThatOneAlone(string name)
    {
        const int Slot = 2_048, Count = 64;
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs("rfc4106(gcm(aes))/160/128"), esn: true, engine: Engines.Open(name));
        byte[] buffer = new byte[Slot * Count];
        var frames = new EspFrame[Count];
        byte[][] plaintexts = new byte[Count][];
        for (int at = 0; at < Count; at++)
        {
            ulong sequence = 0xffff_fff0UL + (ulong)at; // across 2^32
            plaintexts[at] = AlgorithmCases.Plaintext(transform.Geometry, 20 * at, new Random(at));
            byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 9, sequence, plaintexts[at]);
            frames[at] = new EspFrame { Offset = at * Slot + at % 7, Length = packet.Length, Sequence = sequence, Result = DropReason.Count };
            packet.CopyTo(buffer, frames[at].Offset);
        }

        byte[] around = [.. buffer];
        transform.SealBatch(buffer, frames);
        Assert.All(frames, static frame => Assert.Equal(DropReason.None, frame.Result));
        buffer[frames[2].Offset + 20] ^= 0x10;
        transform.OpenBatch(buffer, frames);
        for (int at = 0; at < Count; at++)
        {
            Assert.Equal(at == 2 ? DropReason.InboundIntegrityFailure : DropReason.None, frames[at].Result);
            Assert.True(at == 2 || buffer.AsSpan(frames[at].Offset + 16, plaintexts[at].Length).SequenceEqual(plaintexts[at]));

            // Nothing before and behind the packet is touched.
            int end = frames[at].Offset + frames[at].Length;
            Assert.True(buffer.AsSpan(at * Slot, at % 7).SequenceEqual(around.AsSpan(at * Slot, at % 7)));
            Assert.True(buffer.AsSpan(end, (at + 1) * Slot - end).SequenceEqual(around.AsSpan(end, (at + 1) * Slot - end)));
        }
    }

    [Theory]
    [MemberData(nameof(NativeEngines))]
    public void SealOpenAndForge_TenThousandPackets_AllocateNothing(string name)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs("rfc4106(gcm(aes))/160/128"), esn: true, engine: Engines.Open(name));
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 7, 1, AlgorithmCases.Plaintext(transform.Geometry, 1_400, new Random(1)));
        Run(200);
        long least = long.MaxValue;
        for (int round = 0; round < 3 && least > 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Run(10_000);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);

        void Run(int count)
        {
            bool good = true;
            for (int at = 1; at <= count; at++)
            {
                good &= transform.TrySeal(packet, (ulong)at) && transform.TryOpen(packet, (ulong)at) && !transform.TryOpen(packet, (ulong)at);
            }

            Assert.True(good);
        }
    }

    // SAs are rekeyed by thousands: native memory must not wait for finalizers.
    [Theory]
    [MemberData(nameof(NativeEngines))]
    public void CreateUseAndDispose_FiftyThousandTimes_KeepsMemory(string name)
    {
        var engine = Engines.Open(name);
        var specs = AlgorithmCases.Specs("rfc4106(gcm(aes))/160/128");
        byte[] packet = AlgorithmCases.Prepare(new EspGeometry(8, 16), 7, 1, new byte[60]);
        Run(5_000);
        long before = ResidentBytes();
        Run(50_000);
        long grown = ResidentBytes() - before;
        Assert.True(grown < 16 << 20, $"resident memory grew by {grown} bytes"); // A leak of one context each would be over 50 MB.

        void Run(int count)
        {
            for (int at = 0; at < count; at++)
            {
                using var transform = AlgorithmCases.Create(specs, esn: false, engine: engine);
                Assert.True(transform.TrySeal(packet, 1) && transform.TryOpen(packet, 1));
            }
        }
    }

    private static long ResidentBytes()
    {
        GC.Collect();
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }
}
