using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>struct gcm_key_data: 1,024 bytes (1,008 used) up to version 1.3, 1,280 from 1.4 to 2.0.2; aligned to 64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 1280)]
internal struct gcm_key_data
{
    /// <summary>What its address must be a multiple of.</summary>
    internal const int Alignment = 64;
}
