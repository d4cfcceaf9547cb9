using CsCheck;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Tests.Algorithms;
using Espalier.Ipsec.Tests.Algorithms.Oracles;

namespace Espalier.Crypto.Tests;

/// <summary>Engine against engine, and each against the oracle.</summary>
public sealed class DifferentialTests
{
    private const int LongestText = 9_100;

    public static TheoryData<string, int> EnginesAndKeys
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string engine in Engines.Names)
            {
                Array.ForEach([16, 24, 32], key => data.Add(engine, key));
            }

            return data;
        }
    }

    // Every length runs through other loops of a library; the tag lengths take turns.
    [Theory]
    [MemberData(nameof(EnginesAndKeys))]
    public void AesGcm_EveryLengthTo9100_EqualsSystem(string name, int keyLength)
    {
        var engine = Engines.Open(name);
        var random = new Random(keyLength);
        byte[] key = new byte[keyLength], nonce = new byte[12], aad = new byte[12], text = new byte[LongestText], wanted = new byte[LongestText], copy = new byte[LongestText];
        random.NextBytes(key);
        random.NextBytes(aad);
        using var reference = CryptoEngine.System.Create(AeadMode.AesGcm, key, 16, TransformDirection.Seal);
        int[] tags = [8, 12, 16];
        var sealers = tags.Select(tag => engine.Create(AeadMode.AesGcm, key, tag, TransformDirection.Seal)).ToArray();
        var openers = tags.Select(tag => engine.Create(AeadMode.AesGcm, key, tag, TransformDirection.Open)).ToArray();
        byte[] fullTag = new byte[16], tag = new byte[16];
        for (int length = 0; length <= LongestText; length++)
        {
            int at = length % tags.Length;
            random.NextBytes(nonce);
            random.NextBytes(text.AsSpan(0, length));
            text.CopyTo(wanted, 0);
            text.CopyTo(copy, 0);
            Assert.True(reference.TrySeal(nonce, aad, wanted.AsSpan(0, length), fullTag));
            Assert.True(sealers[at].TrySeal(nonce, aad, copy.AsSpan(0, length), tag.AsSpan(0, tags[at])));
            Assert.True(copy.AsSpan().SequenceEqual(wanted) && tag.AsSpan(0, tags[at]).SequenceEqual(fullTag.AsSpan(0, tags[at])), $"{length} bytes");
            Assert.True(openers[at].TryOpen(nonce, aad, copy.AsSpan(0, length), tag.AsSpan(0, tags[at])), $"{length} bytes");
            Assert.True(copy.AsSpan().SequenceEqual(text), $"{length} bytes");
        }

        Array.ForEach([.. sealers, .. openers], cipher => cipher.Dispose());
    }

    [Theory]
    [InlineData("openssl")]
    [InlineData("ipsec-mb")]
    [InlineData("bouncycastle")]
    public void SealThenOpen_AnyPacket_EqualsSystemAndTheOracle(string name)
    {
        var engine = Engines.Open(name);
        var inputs =
            from line in Gen.Int[0, AlgorithmCases.Aeads.Length - 1].Select(static at => AlgorithmCases.Aeads[at])
            from esn in Gen.Bool
            from seed in Gen.Int
            from sequence in Gen.ULong
            from length in Gen.Int[0, 2_000]
            select (line, esn, seed, sequence: esn ? sequence : (uint)sequence, length);
        inputs.Sample(
            input =>
            {
                var specs = AlgorithmCases.Specs(input.line, input.seed);
                using var transform = AlgorithmCases.Create(specs, input.esn, engine: engine);
                using var peer = AlgorithmCases.Create(specs, input.esn);
                byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, input.length, new Random(input.seed));
                byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 0x100, input.sequence, plaintext);
                byte[] back = [.. packet];
                if (!transform.TrySeal(packet, input.sequence) || !peer.TrySeal(back, input.sequence))
                {
                    return false;
                }

                int start = EspGeometry.HeaderLength + transform.Geometry.IvLength;
                byte[] wanted = new EspOracle(specs, input.esn).Seal(0x100, input.sequence, packet[EspGeometry.HeaderLength..start], plaintext);
                return packet.AsSpan().SequenceEqual(wanted)
                    && peer.TryOpen(packet, input.sequence) && packet.AsSpan(start, plaintext.Length).SequenceEqual(plaintext)
                    && transform.TryOpen(back, input.sequence) && back.AsSpan(start, plaintext.Length).SequenceEqual(plaintext);
            },
            iter: 2_000,
            threads: 1);
    }
}
