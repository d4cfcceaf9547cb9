using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Sad;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>libipsec's esp_context_t: key, sequence number, and a replay window of 128 packets without ESN.</summary>
internal sealed class EspContext(CryptoEngine engine, byte[] keyAndSalt)
{
    private const int SaltLength = 4;
    private ReplayWindow _window = new(128, false);
    private uint _sequence;

    /// <summary>A context and key schedule for one packet.</summary>
    internal AeadCipher SetUpKey(TransformDirection direction) =>
        engine.Create(AeadMode.AesGcm, keyAndSalt.AsSpan(0, keyAndSalt.Length - SaltLength), EspPacket.IcvLength, direction);

    internal void WriteNonce(Span<byte> nonce, ReadOnlySpan<byte> iv)
    {
        keyAndSalt.AsSpan(keyAndSalt.Length - SaltLength).CopyTo(nonce);
        iv.CopyTo(nonce[SaltLength..]);
    }

    internal bool TryNextSequence(out uint sequence)
    {
        sequence = _sequence == uint.MaxValue ? 0 : ++_sequence;
        return sequence != 0;
    }

    internal bool IsAcceptable(uint low) => _window.Check(low, out _) == ReplayVerdict.Acceptable;

    internal void SetAuthenticated(uint low) => _window.Commit(low);

    /// <summary>For a benchmark that receives the same packets again.</summary>
    internal void ForgetReceived() => _window = new ReplayWindow(128, false);
}
