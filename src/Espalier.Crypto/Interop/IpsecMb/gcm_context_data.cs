using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>struct gcm_context_data: 88 bytes of scratch, rounded up to whole cache lines.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
internal struct gcm_context_data;
