using Espalier.Ipsec.Algorithms.Engines;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Modes;
using Org.BouncyCastle.Crypto.Parameters;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-GCM by BouncyCastle. It wants nonce and associated data as arrays of their own and sets the key up anew for each packet, so it allocates;
/// plaintext that is not yet authenticated stays in this thread's scratch array.
/// </summary>
internal sealed class BouncyCastleGcm(ReadOnlySpan<byte> key, int tagLength) : AeadCipher
{
    private readonly GcmBlockCipher _gcm = new(AesUtilities.CreateEngine());
    private KeyParameter? _key = new(key);

    public override bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
    {
        if (_key is null)
        {
            return false;
        }

        var output = PacketScratch.Rent().AsSpan(0, text.Length + tagLength);
        try
        {
            Run(encrypt: true, nonce, associatedData, text, [], output);
        }
        catch (ArgumentException)
        {
            return false; // It refuses to use a nonce twice in a row.
        }

        output[..text.Length].CopyTo(text);
        output[text.Length..].CopyTo(tag);
        return true;
    }

    public override bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        if (_key is null)
        {
            return false;
        }

        var output = PacketScratch.Rent().AsSpan(0, text.Length + tagLength);
        try
        {
            Run(encrypt: false, nonce, associatedData, text, tag, output);
        }
        catch (InvalidCipherTextException)
        {
            output.Clear(); // What was not authenticated is not left behind.
            return false;
        }

        output[..text.Length].CopyTo(text);
        return true;
    }

    protected override void Dispose(bool disposing) => _key = null;

    private void Run(
        bool encrypt, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, ReadOnlySpan<byte> text, ReadOnlySpan<byte> tag, Span<byte> output)
    {
        _gcm.Init(encrypt, new Org.BouncyCastle.Crypto.Parameters.AeadParameters(_key, tagLength * 8, nonce.ToArray(), associatedData.ToArray()));
        int length = _gcm.ProcessBytes(text, output);
        length += _gcm.ProcessBytes(tag, output[length..]);
        _gcm.DoFinal(output[length..]);
    }
}
