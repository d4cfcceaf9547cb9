using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// Which algorithms go together, and whether their keys and ICVs have a right length. Every refusal is one sentence that names
/// algorithms and sizes and never a byte of a key.
/// </summary>
internal static class AlgorithmChecks
{
    /// <summary>The recipe for the algorithms, or null and the reason.</summary>
    public static TransformRecipe? Resolve(IReadOnlyList<AlgorithmSpec> algorithms, bool esn, CryptoEngine engine, out string? error)
    {
        if (!TrySort(algorithms, out var aead, out var cipher, out var mac, out error))
        {
            return null;
        }

        if (aead is not null)
        {
            return ResolveAead(aead, esn, engine, out error);
        }

        error = MissingPart(cipher, mac);
        return error is null ? ResolvePair(cipher!, mac!, esn, out error) : null;
    }

    /// <summary>The names, for a sentence.</summary>
    public static string Names(IReadOnlyList<AlgorithmSpec> algorithms) =>
        string.Join(" with ", algorithms.Select(static algorithm => algorithm.Name));

    private static bool TrySort(
        IReadOnlyList<AlgorithmSpec> algorithms,
        out AlgorithmSpec? aead,
        out AlgorithmSpec? cipher,
        out AlgorithmSpec? mac,
        out string? error)
    {
        aead = cipher = mac = null;
        AlgorithmSpec? truncated = null;
        foreach (var algorithm in algorithms)
        {
            ref var place = ref aead;
            switch (algorithm.Kind)
            {
                case AlgorithmKind.Aead:
                    break;
                case AlgorithmKind.Encryption:
                    place = ref cipher;
                    break;
                case AlgorithmKind.AuthenticationTruncated:
                    place = ref truncated;
                    break;
                default:
                    place = ref mac;
                    break;
            }

            if (place is not null)
            {
                error = $"{place.Name} and {algorithm.Name} are of one kind; an SA takes one.";
                return false;
            }

            place = algorithm;
        }

        mac = truncated ?? mac; // The kernel attaches XFRMA_ALG_AUTH only where XFRMA_ALG_AUTH_TRUNC gave nothing.
        error = aead is not null && (cipher ?? mac) is { } other
            ? $"{aead.Name} encrypts and authenticates by itself and cannot be combined with {other.Name}."
            : null;
        return error is null;
    }

    private static string? MissingPart(AlgorithmSpec? cipher, AlgorithmSpec? mac)
    {
        bool withoutMac = mac is null || mac.Name == AlgorithmCatalog.NullMacName;
        if (cipher is null)
        {
            // The kernel's ESP refuses an SA without XFRMA_ALG_CRYPT too (esp_init_authenc).
            return mac is null
                ? "ESP needs an AEAD algorithm, or an encryption and an authentication algorithm."
                : $"{mac.Name} alone is not enough for ESP: for authentication without encryption name {AlgorithmCatalog.NullCipherName} as well.";
        }

        if (!withoutMac)
        {
            return null;
        }

        return cipher.Name == AlgorithmCatalog.NullCipherName
            ? "ESP must not have null encryption together with null authentication (RFC 4303 §3.2)."
            : $"{cipher.Name} without authentication is refused: RFC 8221 §4 says that ESP encryption MUST be authenticated.";
    }

    private static AeadRecipe? ResolveAead(AlgorithmSpec spec, bool esn, CryptoEngine engine, out string? error)
    {
        var algorithm = AlgorithmCatalog.Aead(spec.Name);
        error = algorithm is null ? Unknown(spec)
            : !algorithm.IsSupported() ? $"This machine's cryptographic library has no {spec.Name}."
            : KeyError(spec, algorithm.KeyLengths, algorithm.SaltLength, "salt");
        error ??= IcvError(algorithm!, (uint)spec.IcvBits);
        return error is null ? new AeadRecipe(algorithm!, spec.Key, spec.IcvBits / 8, esn, engine) : null;
    }

    /// <summary>See <see cref="EspTransformFactory.AeadIcvError"/>.</summary>
    internal static string? IcvError(AeadAlgorithm algorithm, uint icvBits) =>
        Array.Exists(algorithm.IcvBits, bits => bits == icvBits)
            ? null : $"{algorithm.Name} takes an ICV of {List(algorithm.IcvBits)} bits, not {icvBits}.";

    private static EncryptThenMacRecipe? ResolvePair(AlgorithmSpec cipherSpec, AlgorithmSpec macSpec, bool esn, out string? error)
    {
        var cipher = AlgorithmCatalog.Cipher(cipherSpec.Name);
        var mac = AlgorithmCatalog.Mac(macSpec.Name);
        error = cipher is null ? Unknown(cipherSpec)
            : mac is null ? Unknown(macSpec)
            : KeyError(cipherSpec, cipher.KeyLengths, cipher.NonceLength, "nonce")
                ?? WeakKeyError(cipherSpec)
                ?? KeyError(macSpec, mac.KeyLengths, 0, "salt");
        if (error is not null)
        {
            return null;
        }

        int icvBits = macSpec.IcvBits == 0 ? mac!.DefaultIcvBits : macSpec.IcvBits;
        if (icvBits % 8 != 0 || icvBits < EspTransformFactory.ShortestIcvBits || icvBits > mac!.FullBits)
        {
            error = $"{macSpec.Name} takes an ICV of {EspTransformFactory.ShortestIcvBits} to {mac!.FullBits} bits in whole bytes, not {icvBits}.";
            return null;
        }

        return new EncryptThenMacRecipe(cipher!, cipherSpec.Key, mac, macSpec.Key, icvBits / 8, esn);
    }

    private static string? KeyError(AlgorithmSpec spec, int[] lengths, int saltLength, string saltName)
    {
        if (lengths.Length == 0)
        {
            return spec.Key.Length == 0 ? $"{spec.Name} needs a key." : null;
        }

        if (Array.IndexOf(lengths, spec.Key.Length - saltLength) >= 0)
        {
            return null;
        }

        if (lengths is [0])
        {
            // iproute2 takes the empty hexadecimal key "0x" for the text of two characters.
            if (spec.Key.AsSpan().SequenceEqual("0x"u8))
            {
                return null;
            }

            return $"{spec.Name} takes no key, and one of {spec.Key.Length * 8} bits was given.";
        }

        string sizes = List([.. lengths.Select(length => (length + saltLength) * 8)]);
        string salt = saltLength == 0 ? "" : $", the last {saltLength * 8} of them the {saltName}";
        return $"{spec.Name} takes a key of {sizes} bits{salt}, not {spec.Key.Length * 8}.";
    }

    /// <summary>3DES whose keys repeat is single DES (RFC 2451 §2.3); the platform refuses it as well.</summary>
    private static string? WeakKeyError(AlgorithmSpec spec)
    {
        if (spec.Key.Length != 24 || AlgorithmCatalog.Cipher(spec.Name)?.LegacyName != "des3_ede")
        {
            return null;
        }

        return Weak(spec.Key) ? $"{spec.Name} takes three keys of which neighbours differ; these repeat, which makes it single DES." : null;

        // Parity bits, the lowest of each byte, are not a part of the key.
        static bool Weak(ReadOnlySpan<byte> key) => Same(key[..8], key[8..16]) || Same(key[8..16], key[16..]);

        static bool Same(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
        {
            Span<byte> difference = stackalloc byte[8];
            for (int at = 0; at < difference.Length; at++)
            {
                difference[at] = (byte)((left[at] ^ right[at]) & 0xfe);
            }

            return CryptographicOperations.FixedTimeEquals(difference, stackalloc byte[8]);
        }
    }

    private static string Unknown(AlgorithmSpec spec) => $"{spec.Name} is not an algorithm that Espalier has.";

    private static string List(int[] numbers) => numbers is [.. var first, var last] && first.Length > 0
        ? $"{string.Join(", ", first)} or {last}"
        : $"{numbers[0]}";
}
