using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Crypto.Interop.IpsecMb;
using Espalier.Crypto.Interop.OpenSsl;
using Espalier.Crypto.IpsecMb;
using Espalier.Testing;

namespace Espalier.Crypto.Tests;

/// <summary>What the libraries' headers say, asked of the C compiler.</summary>
public sealed class InteropTests
{
    [Fact]
    public void ImbManager_Offsets_AreThoseOfTheHeader()
    {
        RequireHeader("/usr/include/intel-ipsec-mb.h", "libipsec-mb-dev");
        string[] fields = [.. typeof(IMB_MGR).GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Select(field => field.Name)];
        Assert.Equal(10, fields.Length);
        long[] offsets = CompilerFacts.Evaluate(["intel-ipsec-mb.h"], [.. fields.Select(field => $"offsetof(IMB_MGR, {field})")]);
        Assert.Equal(offsets, fields.Select(field => (long)Marshal.OffsetOf<IMB_MGR>(field)));
    }

    [Fact]
    public unsafe void ImbStructs_Sizes_HoldThoseOfTheHeader()
    {
        RequireHeader("/usr/include/intel-ipsec-mb.h", "libipsec-mb-dev");
        long[] facts = CompilerFacts.Evaluate(
            ["intel-ipsec-mb.h"],
            [
                "sizeof(struct gcm_key_data)", "sizeof(struct gcm_context_data)",
                "IMB_FEATURE_AESNI", "IMB_FEATURE_PCLMULQDQ", "IMB_FLAG_AESNI_OFF", "sizeof(IMB_MGR) >= 472",
            ]);
        Assert.InRange(facts[0], 1, sizeof(gcm_key_data));
        Assert.InRange(facts[1], 1, sizeof(gcm_context_data));
        Assert.Equal([(long)IMB_MGR.FeatureAesni, (long)IMB_MGR.FeaturePclmulqdq, (long)IMB_MGR.FlagAesniOff, 1], facts[2..]);
        Assert.Equal(472, Unsafe.SizeOf<IMB_MGR>());
        Assert.Equal(0, Marshal.OffsetOf<GcmMemory>(nameof(GcmMemory.Context)) % 64);
    }

    [Fact]
    public void Evp_Constants_AreThoseOfTheHeader()
    {
        RequireHeader("/usr/include/openssl/evp.h", "libssl-dev");
        Assert.Equal(
            [Libcrypto.EVP_CTRL_AEAD_GET_TAG, Libcrypto.EVP_CTRL_AEAD_SET_TAG, Libcrypto.OPENSSL_VERSION],
            CompilerFacts.Evaluate(["openssl/evp.h", "openssl/crypto.h"], ["EVP_CTRL_AEAD_GET_TAG", "EVP_CTRL_AEAD_SET_TAG", "OPENSSL_VERSION"]));
    }

    // The library is told to see no AES instructions, as on a processor that has none.
    [Fact]
    public void IpsecMb_WithoutAesInstructions_IsRefused()
    {
        Engines.Open("ipsec-mb");
        Assert.Throws<CryptographicException>(() => IpsecMbEngine.Open(IMB_MGR.FlagAesniOff));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(IMB_MGR.FeatureAesni)]
    [InlineData(IMB_MGR.FeaturePclmulqdq)]
    public void IpsecMb_FeaturesWithoutBothInstructions_AreRefused(ulong features)
    {
        var failure = Assert.Throws<CryptographicException>(() => IpsecMbEngine.RequireInstructions(features));
        Assert.Contains("AES-NI", failure.Message, StringComparison.Ordinal);
        IpsecMbEngine.RequireInstructions(IMB_MGR.FeatureAesni | IMB_MGR.FeaturePclmulqdq);
    }

    private static void RequireHeader(string file, string package)
    {
        CompilerFacts.Require();
        Assert.SkipUnless(File.Exists(file), $"needs {file} ({package})");
    }
}
