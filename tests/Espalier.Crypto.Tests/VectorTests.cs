using System.Buffers.Binary;
using System.Globalization;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Tests.Algorithms;
using Espalier.Ipsec.Tests.Algorithms.Vectors;

namespace Espalier.Crypto.Tests;

/// <summary>Published ESP packets, by every engine; each carries its source in <see cref="PacketVectors"/>.</summary>
public sealed class VectorTests
{
    public static TheoryData<string, string, string, bool, string, string, string> Packets
    {
        get
        {
            var data = new TheoryData<string, string, string, bool, string, string, string>();
            foreach (string engine in Engines.Names)
            {
                foreach (var (number, key, esn, sequence, plaintext, packet) in PacketVectors.Gcm.Select(row => row.Data))
                {
                    data.Add(engine, "rfc4106(gcm(aes))", key, esn, sequence, plaintext, packet);
                    Assert.True(number > 0);
                }

                foreach (var (key, esn, sequence, plaintext, packet) in PacketVectors.Gmac.Select(row => row.Data))
                {
                    data.Add(engine, "rfc4543(gcm(aes))", key, esn, sequence, plaintext, packet);
                }

                foreach (var (key, esn, sequence, plaintext, packet) in PacketVectors.ChaCha20Poly1305.Select(row => row.Data))
                {
                    data.Add(engine, "rfc7539esp(chacha20,poly1305)", key, esn, sequence, plaintext, packet);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Packets))]
    public void Engine_PublishedPacket_ComesOutAgain(string engine, string algorithm, string key, bool esn, string sequenceHex, string plaintext, string expected)
    {
        ulong sequence = ulong.Parse(sequenceHex, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        byte[] wanted = Convert.FromHexString(expected);
        using var transform = AlgorithmCases.Create(
            [new(AlgorithmKind.Aead, algorithm, Convert.FromHexString(key), 128)], esn, FixedEntropy.ForCounterIv(wanted.AsSpan(8, 8), sequence), Engines.Open(engine));
        byte[] packet = AlgorithmCases.Prepare(
            transform.Geometry, BinaryPrimitives.ReadUInt32BigEndian(wanted), sequence, Convert.FromHexString(plaintext));
        Assert.True(transform.TrySeal(packet, sequence));
        Assert.Equal(expected, Convert.ToHexStringLower(packet));
        Assert.True(transform.TryOpen(packet, sequence));
        Assert.Equal(plaintext, Convert.ToHexStringLower(packet.AsSpan(EspGeometry.HeaderLength + 8, plaintext.Length / 2)));
    }
}
