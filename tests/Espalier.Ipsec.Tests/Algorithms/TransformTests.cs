using System.Reflection;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>Batches, two directions at once, and what is left after disposal.</summary>
public sealed class TransformTests
{
    public static TheoryData<string> Cases => new(AlgorithmCases.Representative);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Batch_OneFrameForged_DropsThatOneAlone(string line)
    {
        const int Slot = 2_048;
        const int Count = 5;
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: true);
        byte[] buffer = new byte[Slot * Count];
        var frames = new EspFrame[Count];
        byte[][] plaintexts = new byte[Count][];
        for (int at = 0; at < Count; at++)
        {
            ulong sequence = 0xffff_fffeUL + (ulong)at; // across 2^32
            plaintexts[at] = AlgorithmCases.Plaintext(transform.Geometry, 100 * (at + 1), new Random(at));
            byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 9, sequence, plaintexts[at]);
            frames[at] = new EspFrame { Offset = at * Slot + 17, Length = packet.Length, Sequence = sequence, Result = DropReason.Count };
            packet.CopyTo(buffer, frames[at].Offset);
        }

        transform.SealBatch(buffer, frames);
        Assert.All(frames, static frame => Assert.Equal(DropReason.None, frame.Result));
        buffer[frames[2].Offset + 20] ^= 0x10;
        transform.OpenBatch(buffer, frames);
        for (int at = 0; at < Count; at++)
        {
            Assert.Equal(at == 2 ? DropReason.InboundIntegrityFailure : DropReason.None, frames[at].Result);
            int start = frames[at].Offset + EspGeometry.HeaderLength + transform.Geometry.IvLength;
            Assert.True(at == 2 || buffer.AsSpan(start, plaintexts[at].Length).SequenceEqual(plaintexts[at]));
        }
    }

    // The contract: not two threads in one direction, but one in each.
    [Theory]
    [InlineData("rfc4106(gcm(aes))/160/128")]
    [InlineData("rfc4106(gcm(aes))/160/64")]
    [InlineData("rfc4543(gcm(aes))/160/128")]
    [InlineData("rfc7539esp(chacha20,poly1305)/288/128")]
    [InlineData("rfc4309(ccm(aes))/152/128")]
    [InlineData("cbc(aes)/128+hmac(sha256)/256/128")]
    [InlineData("rfc3686(ctr(aes))/160+xcbc(aes)/128/96")]
    [InlineData("cbc(camellia)/128+cmac(aes)/128/96")]
    public async Task BothDirections_OnTwoThreadsAtOnce_DoNotDisturbEachOther(string line)
    {
        const int Rounds = 1_500;
        var specs = AlgorithmCases.Specs(line);
        using var transform = AlgorithmCases.Create(specs, esn: false);
        using var peer = AlgorithmCases.Create(specs, esn: false);
        byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, 900, new Random(4));
        byte[] prepared = AlgorithmCases.Prepare(transform.Geometry, 3, 1, plaintext);
        byte[] arriving = [.. prepared];
        Assert.True(peer.TrySeal(arriving, 1));

        var token = TestContext.Current.CancellationToken;
        using var start = new Barrier(2);
        var sealing = Task.Run(
            () =>
            {
                start.SignalAndWait(token);
                return Enumerable.Range(0, Rounds).Count(_ =>
                {
                    byte[] packet = [.. prepared];
                    return transform.TrySeal(packet, 1) && peer.TryOpen(packet, 1);
                });
            },
            token);
        var opening = Task.Run(
            () =>
            {
                start.SignalAndWait(token);
                return Enumerable.Range(0, Rounds).Count(_ =>
                {
                    byte[] packet = [.. arriving];
                    return transform.TryOpen(packet, 1);
                });
            },
            token);
        Assert.Equal(Rounds, await sealing);
        Assert.Equal(Rounds, await opening);
    }

    // The SA keeps the specs for GETSA and may drop them first.
    [Theory]
    [MemberData(nameof(Cases))]
    public void Specs_DisposedAfterCreation_AreNotMissed(string line)
    {
        var specs = AlgorithmCases.Specs(line);
        using var peer = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        using var transform = AlgorithmCases.Create(specs, esn: false);
        Array.ForEach(specs, static spec => spec.Dispose());
        byte[] packet = AlgorithmCases.Prepare(
            transform.Geometry, 1, 1, AlgorithmCases.Plaintext(transform.Geometry, 50, new Random(1)));
        byte[] back = [.. packet];
        Assert.True(transform.TrySeal(packet, 1) && peer.TryOpen(packet, 1));
        Assert.True(peer.TrySeal(back, 1) && transform.TryOpen(back, 1));
    }

    // What AesCbcMac relies on after a failed call.
    [Fact]
    public void PlatformChain_EmptyFinalBlock_StartsAnew()
    {
        using var aes = System.Security.Cryptography.Aes.Create();
        aes.Padding = System.Security.Cryptography.PaddingMode.None;
        using var encryptor = aes.CreateEncryptor();
        byte[] first = new byte[32];
        byte[] second = new byte[32];
        encryptor.TransformBlock(new byte[32], 0, 32, first, 0);
        encryptor.TransformFinalBlock([], 0, 0);
        encryptor.TransformBlock(new byte[32], 0, 32, second, 0);
        Assert.Equal(first, second);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Disposed_EveryCall_GivesFalseAndThrowsNothing(string line)
    {
        var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        byte[] packet = AlgorithmCases.Prepare(
            transform.Geometry, 1, 1, AlgorithmCases.Plaintext(transform.Geometry, 50, new Random(1)));
        byte[] copy = [.. packet];
        Assert.True(transform.TrySeal(packet, 1));
        transform.Dispose();
        transform.Dispose();
        Assert.False(transform.TrySeal(copy, 2));
        Assert.False(transform.TryOpen(packet, 1));
        EspFrame[] frames = [new EspFrame { Length = copy.Length, Sequence = 3 }];
        transform.SealBatch(copy, frames);
        Assert.Equal(DropReason.OutboundTransformFailure, frames[0].Result);
        transform.OpenBatch(packet, frames);
        Assert.Equal(DropReason.InboundIntegrityFailure, frames[0].Result);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Disposed_OwnArrays_HoldNoKeyOrSalt(string line)
    {
        var specs = AlgorithmCases.Specs(line);
        var transform = AlgorithmCases.Create(specs, esn: false);
        byte[] packet = AlgorithmCases.Prepare(
            transform.Geometry, 1, 1, AlgorithmCases.Plaintext(transform.Geometry, 50, new Random(1)));
        Assert.True(transform.TrySeal(packet, 1) && transform.TryOpen(packet, 1)); // both directions exist now

        var arrays = new List<byte[]>();
        Collect(transform, arrays, []);
        Assert.Contains(arrays, array => specs.Any(spec => spec.Key.Length > 0 && array.AsSpan().SequenceEqual(spec.Key)));
        transform.Dispose();
        foreach (byte[] array in arrays.Where(static array => array.Length > 0))
        {
            foreach (var spec in specs.Where(static spec => spec.Key.Length > 0))
            {
                Assert.Equal(-1, array.AsSpan().IndexOf(spec.Key));
                Assert.Equal(-1, array.AsSpan().IndexOf(spec.Key.AsSpan(spec.Key.Length - 3)));
            }
        }
    }

    /// <summary>The byte arrays that objects of Espalier's own types reach.</summary>
    private static void Collect(object? value, List<byte[]> arrays, HashSet<object> seen)
    {
        if (value is byte[] bytes)
        {
            arrays.Add(bytes);
        }
        else if (value is not null && !value.GetType().IsValueType && seen.Add(value)
            && value.GetType().Namespace?.StartsWith("Espalier.", StringComparison.Ordinal) == true)
        {
            for (var type = value.GetType(); type is not null; type = type.BaseType)
            {
                foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly))
                {
                    Collect(field.GetValue(value), arrays, seen);
                }
            }
        }
    }
}
