using Espalier.Crypto.Interop.IpsecMb;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto.IpsecMb;

/// <summary>AES-GCM of Intel's multi-buffer library: one call a packet. The library computes tags and leaves the comparing to its caller.</summary>
internal sealed unsafe class ImbGcmCipher : AeadCipher
{
    private readonly aes_gcm_enc_dec_t _run;
    private readonly SafeGcmMemory _owner;
    private GcmMemory* _memory; // Null once disposed. _owner frees it.

    internal ImbGcmCipher(aes_gcm_pre_t expand, aes_gcm_enc_dec_t run, ReadOnlySpan<byte> key)
    {
        _run = run;
        _owner = new SafeGcmMemory();
        _memory = (GcmMemory*)_owner.DangerousGetHandle();
        fixed (byte* keyBytes = key)
        {
            expand.Invoke(keyBytes, &_memory->Key);
        }
    }

    /// <inheritdoc/>
    public override bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
    {
        if (_memory == null)
        {
            return false;
        }

        fixed (byte* tagBytes = tag)
        {
            Run(_memory, nonce, associatedData, text, tagBytes, tag.Length);
        }

        return true;
    }

    /// <inheritdoc/>
    public override bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        var memory = _memory;
        if (memory == null)
        {
            return false;
        }

        Run(memory, nonce, associatedData, text, memory->Tag, tag.Length);
        bool verified = IcvComparison.AreEqual(new ReadOnlySpan<byte>(memory->Tag, tag.Length), tag);
        GC.KeepAlive(_owner);
        if (!verified)
        {
            text.Clear(); // What was not authenticated is not left behind.
        }

        return verified;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _memory = null;
            _owner.Dispose();
        }
    }

    private void Run(GcmMemory* memory, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, byte* tag, int tagLength)
    {
        fixed (byte* nonceBytes = nonce, aadBytes = associatedData, textBytes = text)
        {
            _run.Invoke(
                &memory->Key, &memory->Context, textBytes, textBytes, (ulong)text.Length, nonceBytes, aadBytes, (ulong)associatedData.Length,
                tag, (ulong)tagLength);
        }

        GC.KeepAlive(_owner);
    }
}
