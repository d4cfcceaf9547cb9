using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>Owns a <see cref="GcmMemory"/>, which is zeroed before it is freed.</summary>
internal sealed unsafe class SafeGcmMemory : SafeHandle
{
    /// <summary>Allocates; all zero.</summary>
    internal SafeGcmMemory()
        : base(0, ownsHandle: true)
    {
        void* memory = NativeMemory.AlignedAlloc((nuint)sizeof(GcmMemory), gcm_key_data.Alignment);
        NativeMemory.Clear(memory, (nuint)sizeof(GcmMemory));
        SetHandle((nint)memory);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        CryptographicOperations.ZeroMemory(new Span<byte>((void*)handle, sizeof(GcmMemory)));
        NativeMemory.AlignedFree((void*)handle);
        return true;
    }
}
