using System.Buffers.Binary;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>Several workers that seal with one transform at once.</summary>
public sealed class SealersTests
{
    private const int Workers = 4;
    private const int Packets = 400;

    [Theory]
    [InlineData("rfc4106(gcm(aes))/160/128", false)]
    [InlineData("rfc4106(gcm(aes))/160/128", true)]
    [InlineData("rfc4543(gcm(aes))/160/128", true)]
    [InlineData("rfc4309(ccm(aes))/152/128", false)]
    [InlineData("rfc7539esp(chacha20,poly1305)/288/128", true)]
    [InlineData("rfc3686(ctr(aes))/160+hmac(sha256)/256/128", true)]
    [InlineData("cbc(aes)/128+hmac(sha1)/160/96", false)]
    public void SealBatch_OfSeveralWorkersAtOnce_OpensAndNoIvIsUsedTwice(string algorithms, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(algorithms), esn);
        var random = new Random(3);
        byte[][] plaintexts = [.. Enumerable.Range(0, Packets).Select(i => AlgorithmCases.Plaintext(transform.Geometry, i, random))];
        byte[][] sealedPackets = [.. plaintexts.Select((plaintext, i) => AlgorithmCases.Prepare(transform.Geometry, 0x100, Number(i), plaintext))];
        var threads = Enumerable.Range(0, Workers).Select(worker => new Thread(() =>
        {
            for (int i = worker; i < Packets; i += Workers)
            {
                EspFrame[] frames = [new EspFrame { Length = sealedPackets[i].Length, Sequence = Number(i), Result = DropReason.OutboundTransformFailure }];
                transform.SealBatch(sealedPackets[i], frames, worker);
                Assert.Equal(DropReason.None, frames[0].Result);
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());

        var ivs = sealedPackets.Select(packet => Convert.ToHexString(packet, EspGeometry.HeaderLength, transform.Geometry.IvLength)).ToList();
        Assert.Equal(Packets, ivs.Distinct().Count());
        if (transform.Geometry.IvLength == sizeof(ulong))
        {
            Assert.Single(sealedPackets.Select((packet, i) => BinaryPrimitives.ReadUInt64BigEndian(packet.AsSpan(EspGeometry.HeaderLength)) ^ Number(i)).Distinct());
        }

        for (int i = 0; i < Packets; i++)
        {
            Assert.True(transform.TryOpen(sealedPackets[i], Number(i)));
            Assert.Equal(plaintexts[i], sealedPackets[i][(EspGeometry.HeaderLength + transform.Geometry.IvLength)..^transform.Geometry.IcvLength]);
        }

        ulong Number(int i) => (esn ? uint.MaxValue - 200ul : 0) + (ulong)i + 1;
    }

    [Fact]
    public void SealBatch_AfterDispose_IsRefusedForEveryWorker()
    {
        var transform = AlgorithmCases.Create(AlgorithmCases.Specs("rfc4106(gcm(aes))/160/128"), esn: false);
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 0x100, 1, AlgorithmCases.Plaintext(transform.Geometry, 50, new Random(1)));
        EspFrame[] frames = [new EspFrame { Length = packet.Length, Sequence = 1 }];
        transform.SealBatch(packet, frames, 2);
        Assert.Equal(DropReason.None, frames[0].Result);
        transform.Dispose();
        for (int worker = 0; worker < Workers; worker++)
        {
            transform.SealBatch(packet, frames, worker);
            Assert.Equal(DropReason.OutboundTransformFailure, frames[0].Result);
        }
    }
}
