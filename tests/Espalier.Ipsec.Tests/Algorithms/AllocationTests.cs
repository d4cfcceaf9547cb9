using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>
/// What a packet of 1,400 bytes costs the managed heap. The figures other than zero stand in docs/algorithms.md; a change here is
/// a change there.
/// </summary>
[Collection(nameof(AllocationCollection))]
public sealed class AllocationTests
{
    private const int Packets = 10_000;
    private const int PayloadLength = 1_400;

    /// <summary>AES-CCM of the platform, each direction.</summary>
    private const int Ccm = 32;

    /// <summary>BouncyCastle's Camellia engine: 40 bytes a block of 16.</summary>
    private const int CamelliaBlock = 40;

    public static TheoryData<string, bool> Cases => AlgorithmCases.WithEsn(AlgorithmCases.Representative);

    [Theory]
    [MemberData(nameof(Cases))]
    public void SealAndOpen_TenThousandPackets_AllocateWhatTheDocsSay(string line, bool esn)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn);
        byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, PayloadLength, new Random(1));
        byte[] prepared = AlgorithmCases.Prepare(transform.Geometry, 77, 1, plaintext);
        byte[] sealedOnce = [.. prepared];
        Assert.True(transform.TrySeal(sealedOnce, 1));
        byte[] packet = new byte[prepared.Length];
        Run(transform, prepared, packet, 200, open: false);
        Run(transform, sealedOnce, packet, 200, open: true);

        // Not a promise, and slow: fewer packets show the same figure.
        int packets = line.Contains("camellia", StringComparison.Ordinal) ? Packets / 10 : Packets;
        long expected = Expected(line, plaintext.Length) * packets;
        Assert.Equal(expected, Measure(open: false));
        Assert.Equal(expected, Measure(open: true));

        // What the runtime itself allocates once on this thread, as when it recompiles a loop, is gone in the next round; what a
        // packet allocates is not.
        long Measure(bool open)
        {
            long least = long.MaxValue;
            for (int round = 0; round < 3 && least > expected; round++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                Run(transform, open ? sealedOnce : prepared, packet, packets, open);
                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            return least;
        }
    }

    // A bad ICV costs no more than this, so a flood of forged packets is the collector's youngest generation alone.
    [Theory]
    [InlineData("rfc4106(gcm(aes))/160/128", 1_024)]
    [InlineData("rfc4543(gcm(aes))/160/128", 1_024)]
    [InlineData("rfc7539esp(chacha20,poly1305)/288/128", 1_024)]
    [InlineData("rfc4309(ccm(aes))/152/128", 1_024)]
    [InlineData("rfc4106(gcm(aes))/160/64", 0)]
    [InlineData("cbc(aes)/128+hmac(sha256)/256/128", 0)]
    [InlineData("cbc(camellia)/128+hmac(sha256)/256/128", 0)]
    [InlineData("cbc(aes)/128+cmac(aes)/128/96", 0)]
    [InlineData("cbc(aes)/128+xcbc(aes)/128/96", 0)]
    public void Open_Forged_AllocatesAtMost(string line, int limit)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        byte[] forged = AlgorithmCases.Prepare(
            transform.Geometry, 77, 1, AlgorithmCases.Plaintext(transform.Geometry, PayloadLength, new Random(1)));
        byte[] packet = new byte[forged.Length];
        Open(200);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Open(1_000);
        long each = (GC.GetAllocatedBytesForCurrentThread() - before) / 1_000;
        TestContext.Current.SendDiagnosticMessage($"{line}: {each} bytes a forged packet");
        Assert.InRange(each, 0, limit);

        void Open(int count)
        {
            bool accepted = false;
            for (int at = 0; at < count; at++)
            {
                forged.CopyTo(packet, 0);
                accepted |= transform.TryOpen(packet, 1);
            }

            Assert.False(accepted);
        }
    }

    private static long Expected(string line, int plaintextLength)
    {
        if (line.StartsWith("rfc4309", StringComparison.Ordinal))
        {
            return Ccm;
        }

        // One more block than the payload has: the IV passes through the cipher too.
        return line.StartsWith("cbc(camellia)", StringComparison.Ordinal) ? CamelliaBlock * (plaintextLength / 16 + 1) : 0;
    }

    private static void Run(EspTransform transform, byte[] template, byte[] packet, int count, bool open)
    {
        bool good = true;
        for (int at = 0; at < count; at++)
        {
            template.CopyTo(packet, 0);
            good &= open ? transform.TryOpen(packet, 1) : transform.TrySeal(packet, 1);
        }

        Assert.True(good);
    }
}
