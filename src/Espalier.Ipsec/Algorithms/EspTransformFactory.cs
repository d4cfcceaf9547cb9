using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>Turns the algorithms of an SA into its transform.</summary>
public static class EspTransformFactory
{
    /// <summary>
    /// Canonical name for a name that an XFRM program sent (the kernel's legacy names are accepted), or null if unknown.
    /// </summary>
    public static string? CanonicalName(AlgorithmKind kind, string name) => throw new NotImplementedException();

    /// <summary>ICV length in bits that the kernel uses for an XFRMA_ALG_AUTH of this canonical name (hmac(sha256): 96).</summary>
    public static int DefaultIcvBits(string canonicalName) => throw new NotImplementedException();

    /// <summary>
    /// Creates the transform of an SA: one AEAD, or encryption plus authentication.
    /// </summary>
    /// <param name="algorithms">As parsed, names canonical.</param>
    /// <param name="extendedSequenceNumbers">True for ESN.</param>
    /// <param name="transform">The transform, which owns copies of the keys.</param>
    /// <param name="error">Where it fails: one sentence for the extended ACK, naming the algorithm and never the key.</param>
    /// <returns>False if the combination is unknown, refused, or a key or ICV length does not fit.</returns>
    public static bool TryCreate(
        IReadOnlyList<AlgorithmSpec> algorithms, bool extendedSequenceNumbers, out EspTransform? transform, out string? error) =>
        throw new NotImplementedException();
}
