using System.Reflection;
using Espalier.Ipsec.Algorithms.Aead;
using Org.BouncyCastle.Crypto.Modes;

namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>BouncyCastle: managed code, the portable yardstick. It allocates for each packet and keeps copies of keys that cannot be zeroed.</summary>
internal sealed class BouncyCastleEngine : CryptoEngine
{
    private static readonly int[] s_tags = [8, 12, 16];

    public override string Name => "bouncycastle";

    public override string Library =>
        $"BouncyCastle {typeof(GcmBlockCipher).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]}";

    public override ReadOnlySpan<int> TagLengths(AeadMode mode) => mode == AeadMode.AesGcm ? s_tags : [];

    public override AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction) =>
        new BouncyCastleGcm(key, tagLength);
}
