using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>Turns the algorithms of an SA into its transform. Stateless; any thread.</summary>
public static class EspTransformFactory
{
    /// <summary>The shortest ICV taken with XFRMA_ALG_AUTH_TRUNC, in bits: the shortest that an RFC defines for ESP (RFC 4106 §6, RFC 4309 §2).</summary>
    public const int ShortestIcvBits = 64;

    /// <summary>
    /// Canonical name for a name that an XFRM program sent (the kernel's legacy names are accepted), or null if unknown.
    /// </summary>
    public static string? CanonicalName(AlgorithmKind kind, string name) => kind switch
    {
        AlgorithmKind.Encryption => AlgorithmCatalog.Cipher(name)?.Name,
        AlgorithmKind.Authentication or AlgorithmKind.AuthenticationTruncated =>
            name == AlgorithmCatalog.NullMacName ? name : AlgorithmCatalog.Mac(name)?.Name,
        AlgorithmKind.Aead => AlgorithmCatalog.Aead(name)?.Name,
        _ => null,
    };

    /// <summary>
    /// ICV length in bits that the kernel uses for an XFRMA_ALG_AUTH of this canonical name (hmac(sha256): 96), and for an
    /// XFRMA_ALG_AUTH_TRUNC that says 0. 0 for a name that is no integrity algorithm.
    /// </summary>
    public static int DefaultIcvBits(string canonicalName) => AlgorithmCatalog.Mac(canonicalName)?.DefaultIcvBits ?? 0;

    /// <summary>Why an AEAD algorithm cannot be had with an ICV of so many bits, one sentence; null if it can. The kernel knows each by name and ICV.</summary>
    public static string? AeadIcvError(string canonicalName, uint icvBits) =>
        AlgorithmCatalog.Aead(canonicalName) is { } algorithm ? AlgorithmChecks.IcvError(algorithm, icvBits) : null;

    /// <summary>
    /// Creates the transform of an SA: one AEAD, or encryption plus authentication. Where both an
    /// <see cref="AlgorithmKind.Authentication"/> and an <see cref="AlgorithmKind.AuthenticationTruncated"/> are given, the
    /// truncated one counts, as in the kernel; an ICV length of 0 there means the default.
    /// </summary>
    /// <param name="algorithms">As parsed, names canonical.</param>
    /// <param name="extendedSequenceNumbers">True for ESN.</param>
    /// <param name="engine">Does what it brings; <see cref="CryptoEngine.System"/> does the rest.</param>
    /// <param name="transform">The transform, which owns copies of the keys.</param>
    /// <param name="error">Where it fails: one sentence for the extended ACK, naming the algorithm and never the key.</param>
    /// <returns>False if the combination is unknown, refused, or a key or ICV length does not fit.</returns>
    public static bool TryCreate(
        IReadOnlyList<AlgorithmSpec> algorithms,
        bool extendedSequenceNumbers,
        CryptoEngine engine,
        [NotNullWhen(true)] out EspTransform? transform,
        [NotNullWhen(false)] out string? error) =>
        TryCreate(algorithms, extendedSequenceNumbers, engine, IvEntropy.Shared, out transform, out error);

    /// <summary>As above, with <see cref="CryptoEngine.System"/>.</summary>
    public static bool TryCreate(
        IReadOnlyList<AlgorithmSpec> algorithms,
        bool extendedSequenceNumbers,
        [NotNullWhen(true)] out EspTransform? transform,
        [NotNullWhen(false)] out string? error) =>
        TryCreate(algorithms, extendedSequenceNumbers, CryptoEngine.System, IvEntropy.Shared, out transform, out error);

    /// <summary>As above, with the source of IVs that a test chooses.</summary>
    internal static bool TryCreate(
        IReadOnlyList<AlgorithmSpec> algorithms,
        bool extendedSequenceNumbers,
        CryptoEngine engine,
        IvEntropy entropy,
        [NotNullWhen(true)] out EspTransform? transform,
        [NotNullWhen(false)] out string? error)
    {
        transform = null;
        var recipe = AlgorithmChecks.Resolve(algorithms, extendedSequenceNumbers, engine, out error);
        if (recipe is null)
        {
            error ??= "The algorithms of the SA are not supported.";
            return false;
        }

        try
        {
            // Made once to see that the libraries take the keys, and for the sizes.
            using var trial = recipe.Create(TransformDirection.Seal, entropy);
            transform = new DuplexTransform(recipe, trial.Geometry, entropy);
            error = null;
            return true;
        }
        catch (Exception failure) when (failure is CryptographicException or PlatformNotSupportedException or ArgumentException)
        {
            // A library's message is not passed on: it is not ours to promise that it says nothing of the key.
            recipe.Dispose();
            error = $"This machine's cryptographic library refuses {AlgorithmChecks.Names(algorithms)}.";
            return false;
        }
    }
}
