using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>What a transform makes of packets that nobody sealed: a result, never an exception.</summary>
public sealed class ForgeryTests
{
    private const uint Spi = 0x1234_5678;
    private const ulong Sequence = 0x0000_0007_0000_0005;

    public static TheoryData<string, bool> Cases => AlgorithmCases.WithEsn(AlgorithmCases.Representative);

    // RFC 4303 §3.4.4: SPI, sequence number, IV, ciphertext and ICV are all covered, and with ESN the high half too.
    [Theory]
    [MemberData(nameof(Cases))]
    public void Open_AnyBitFlipped_IsRejected(string line, bool esn)
    {
        ulong sequence = esn ? Sequence : Sequence & uint.MaxValue;
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        byte[] genuine = Seal(transform, sequence, 21);
        byte[] forged = new byte[genuine.Length];
        for (int bit = 0; bit < genuine.Length * 8; bit++)
        {
            genuine.CopyTo(forged, 0);
            forged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(transform.TryOpen(forged, sequence), $"bit {bit} of {genuine.Length * 8}");
        }

        // The chain of a forged packet does not touch the next genuine one.
        Assert.True(transform.TryOpen(genuine, sequence));
    }

    // RFC 4303 §2.2.1: the high half is authenticated though it is not sent.
    [Theory]
    [MemberData(nameof(Cases))]
    public void Open_OtherHighHalf_IsRejectedWithEsnAlone(string line, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        for (int bit = 32; bit < 64; bit++)
        {
            byte[] packet = Seal(transform, Sequence, 40);
            Assert.Equal(!esn, transform.TryOpen(packet, Sequence ^ (1UL << bit)));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void OpenAndSeal_EveryShorterLength_GiveFalse(string line, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        byte[] genuine = Seal(transform, 5, 60);
        for (int length = 0; length < genuine.Length; length++)
        {
            byte[] truncated = genuine[..length];
            Assert.False(transform.TryOpen(truncated, 5), $"{length} of {genuine.Length} bytes");
        }

        var geometry = transform.Geometry;
        int smallest = EspGeometry.HeaderLength + geometry.IvLength + EspGeometry.TrailerLength + geometry.IcvLength;
        for (int length = 0; length < smallest; length++)
        {
            Assert.False(transform.TrySeal(new byte[length], 5));
        }

        Assert.True(transform.TryOpen(genuine, 5));
    }

    // RFC 4303 §2.4 has the sender end the ciphertext at a multiple of 4; a cipher without blocks opens any, as in the kernel.
    [Theory]
    [MemberData(nameof(Cases))]
    public void SealAndOpen_EveryLengthOfCiphertext_NeedsWholeBlocksAlone(string line, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        var geometry = transform.Geometry;
        for (int length = EspGeometry.TrailerLength; length <= 40; length++)
        {
            byte[] plaintext = [.. Enumerable.Range(1, length).Select(i => (byte)i)];
            byte[] packet = AlgorithmCases.Prepare(geometry, Spi, 9, plaintext);
            bool isWhole = length % geometry.CipherBlock == 0;
            Assert.Equal(isWhole, transform.TrySeal(packet, 9));
            Assert.Equal(isWhole, transform.TryOpen(packet, 9));
            Assert.Equal(plaintext, packet[(EspGeometry.HeaderLength + geometry.IvLength)..^geometry.IcvLength]);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void OpenAndSeal_LongerThanAnIpPacket_GiveFalse(string line, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        byte[] packet = new byte[transform.Geometry.PacketLength(65_536)];
        Assert.False(transform.TrySeal(packet, 1));
        Assert.False(transform.TryOpen(packet, 1));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Open_OtherKey_IsRejected(string line, bool esn)
    {
        using var ours = AlgorithmCases.Create(AlgorithmCases.Specs(line, seed: 1), esn);
        using var theirs = AlgorithmCases.Create(AlgorithmCases.Specs(line, seed: 2), esn);
        Assert.False(theirs.TryOpen(Seal(ours, 1, 100), 1));
    }

    [Fact]
    public void Open_ShortGcmIcvForged_LeavesNoPlaintext()
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs("rfc4106(gcm(aes))/160/64"), esn: false);
        byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, 64, new Random(3));
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, Spi, 1, plaintext);
        Assert.True(transform.TrySeal(packet, 1));
        packet[^1] ^= 1;
        Assert.False(transform.TryOpen(packet, 1));
        Assert.Equal(-1, packet.AsSpan().IndexOf(plaintext.AsSpan(0, 8)));
        Assert.Equal(-1, Espalier.Ipsec.Algorithms.PacketScratch.Rent().AsSpan().IndexOf(plaintext.AsSpan(0, 8)));
    }

    private static byte[] Seal(EspTransform transform, ulong sequence, int payloadLength)
    {
        byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, payloadLength, new Random(payloadLength));
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, Spi, sequence, plaintext);
        Assert.True(transform.TrySeal(packet, sequence));
        return packet;
    }
}
