using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>What a cipher of AES-GCM needs, in one piece of native memory; aligned as its key must be.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GcmMemory
{
    /// <summary>The expanded key.</summary>
    internal gcm_key_data Key;

    /// <summary>Scratch of the library.</summary>
    internal gcm_context_data Context;

    /// <summary>The tag that the library computed when opening.</summary>
    internal fixed byte Tag[16];
}
