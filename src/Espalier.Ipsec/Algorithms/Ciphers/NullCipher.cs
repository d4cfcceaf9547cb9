namespace Espalier.Ipsec.Algorithms.Ciphers;

/// <summary>No encryption, no IV (RFC 2410).</summary>
internal sealed class NullCipher : EspCipher
{
    public override int IvLength => 0;

    public override int BlockLength => 1;

    public override void Encrypt(Span<byte> ivAndPayload, ulong sequence)
    {
        // RFC 2410 §2: the identity function.
    }

    public override void Decrypt(Span<byte> ivAndPayload)
    {
        // RFC 2410 §2: the identity function.
    }

    public override void Dispose()
    {
        // Holds nothing.
    }
}
