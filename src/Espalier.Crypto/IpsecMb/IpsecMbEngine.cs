using System.Globalization;
using System.Security.Cryptography;
using Espalier.Crypto.Interop.IpsecMb;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using X86 = System.Runtime.Intrinsics.X86;

namespace Espalier.Crypto.IpsecMb;

/// <summary>
/// Intel's multi-buffer library for x86-64 with AES instructions: AES-GCM by its direct functions. Its jobs and bursts run GCM messages one after
/// the other through the same functions, and gain nothing (docs/crypto-engines.md).
/// </summary>
internal sealed class IpsecMbEngine : CryptoEngine
{
    /// <summary>As `--crypto` names it.</summary>
    internal const string EngineName = "ipsec-mb";

    private const string NoInstructions = "the processor has no AES-NI and PCLMULQDQ instructions (x86-64)";

    // Where the functions stand in IMB_MGR is known for these.
    private const int FirstMajor = 1, LastMajor = 2;

    private static readonly int[] s_tags = [8, 12, 16];

    private readonly IMB_MGR _functions;

    private unsafe IpsecMbEngine(ulong flags)
    {
        uint version = LibIPSec_MB.imb_get_version();
        Library = string.Create(CultureInfo.InvariantCulture, $"intel-ipsec-mb {version >> 16}.{(version >> 8) & 0xff}.{version & 0xff}");
        var manager = LibIPSec_MB.alloc_mb_mgr(flags);
        if (manager == null)
        {
            throw new CryptographicException("intel-ipsec-mb makes no manager here");
        }

        // The functions need no manager: what it allocates for the other algorithms goes back at once.
        int architecture;
        LibIPSec_MB.init_mb_mgr_auto(manager, &architecture);
        _functions = *manager;
        LibIPSec_MB.free_mb_mgr(manager);
        RequireInstructions(_functions.features);
    }

    /// <summary>The library's functions.</summary>
    internal ref readonly IMB_MGR Functions => ref _functions;

    /// <inheritdoc/>
    public override string Name => EngineName;

    /// <inheritdoc/>
    public override string Library { get; }

    /// <summary>Why the library cannot be used here, or null. Touches little of the library.</summary>
    internal static string? Lacks()
    {
        if (!X86.Aes.IsSupported || !X86.Pclmulqdq.IsSupported)
        {
            return NoInstructions;
        }

        try
        {
            uint major = LibIPSec_MB.imb_get_version() >> 16;
            return major is >= FirstMajor and <= LastMajor ? null : $"intel-ipsec-mb of major version {major} is not known here, only {FirstMajor} to {LastMajor}";
        }
        catch (Exception failure) when (failure is DllNotFoundException or EntryPointNotFoundException)
        {
            return $"{string.Join(" or ", SharedLibrary.Names)} is not installed (Debian: libipsec-mb1)";
        }
    }

    /// <summary>Throws unless these features of a processor, as the library found them, are enough.</summary>
    internal static void RequireInstructions(ulong features)
    {
        const ulong Needed = IMB_MGR.FeatureAesni | IMB_MGR.FeaturePclmulqdq;
        if ((features & Needed) != Needed)
        {
            throw new CryptographicException(NoInstructions);
        }
    }

    /// <summary>The engine; only where it <see cref="Lacks"/> nothing.</summary>
    /// <param name="flags">For alloc_mb_mgr.</param>
    /// <exception cref="CryptographicException">The library finds no AES instructions, or no memory.</exception>
    internal static IpsecMbEngine Open(ulong flags = 0) => new(flags);

    /// <inheritdoc/>
    public override ReadOnlySpan<int> TagLengths(AeadMode mode) => mode == AeadMode.AesGcm ? s_tags : [];

    /// <inheritdoc/>
    public override AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction)
    {
        bool seals = direction == TransformDirection.Seal;
        return key.Length switch
        {
            16 => new ImbGcmCipher(_functions.gcm128_pre, seals ? _functions.gcm128_enc : _functions.gcm128_dec, key),
            24 => new ImbGcmCipher(_functions.gcm192_pre, seals ? _functions.gcm192_enc : _functions.gcm192_dec, key),
            32 => new ImbGcmCipher(_functions.gcm256_pre, seals ? _functions.gcm256_enc : _functions.gcm256_dec, key),
            _ => throw new ArgumentOutOfRangeException(nameof(key), $"AES has no key of {key.Length} bytes."),
        };
    }
}
