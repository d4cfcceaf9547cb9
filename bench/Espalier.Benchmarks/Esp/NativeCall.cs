using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Crypto.Interop.IpsecMb;
using Espalier.Crypto.IpsecMb;

namespace Espalier.Benchmarks.Esp;

/// <summary>The bare call of intel-ipsec-mb: its function on pointers, nothing checked, tags not compared.</summary>
internal sealed unsafe class NativeCall : IDisposable
{
    private readonly aes_gcm_enc_dec_t _seal, _open;
    private readonly SafeGcmMemory _memory = new();
    private readonly byte[] _nonceAndTag = GC.AllocateArray<byte>(32, pinned: true);

    internal NativeCall(IpsecMbEngine engine, ReadOnlySpan<byte> key)
    {
        _seal = engine.Functions.gcm128_enc;
        _open = engine.Functions.gcm128_dec;
        fixed (byte* bytes = key)
        {
            engine.Functions.gcm128_pre.Invoke(bytes, &((GcmMemory*)_memory.DangerousGetHandle())->Key);
        }
    }

    /// <param name="packet">Pinned; 8 bytes of associated data, IV, text, ICV.</param>
    internal void Seal(Span<byte> packet) => Run(_seal, packet);

    /// <inheritdoc cref="Seal"/>
    internal void Open(Span<byte> packet) => Run(_open, packet);

    public void Dispose() => _memory.Dispose();

    private void Run(aes_gcm_enc_dec_t function, Span<byte> packet)
    {
        var memory = (GcmMemory*)_memory.DangerousGetHandle();
        byte* bytes = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(packet));
        byte* scratch = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_nonceAndTag));
        function.Invoke(
            &memory->Key, &memory->Context, bytes + 16, bytes + 16, (ulong)(packet.Length - 32), scratch, bytes, 8, scratch + 16, 16);
    }
}
