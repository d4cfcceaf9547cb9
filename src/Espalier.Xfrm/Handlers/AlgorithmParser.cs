using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Algorithms;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Reads the algorithms of an SA. The specs own copies of the keys; the caller zeroes the receive buffer.</summary>
internal static class AlgorithmParser
{
    /// <summary>
    /// Bytes of the longest key: only HMAC takes any length, and answers and notifications, which hold the key twice, must fit in one datagram.
    /// It is also the most that iproute2 sends.
    /// </summary>
    public const int LongestKey = 512;

    /// <summary>True where the attribute is not there, or holds the key that its length announces.</summary>
    public static bool Fits(in XfrmAttributes attributes, XfrmAttribute type)
    {
        if (!attributes.Has(type))
        {
            return true;
        }

        var value = attributes[type];
        return (ulong)value.Length >= (ulong)HeaderLength(type) + KeyBytes(KeyBits(value));
    }

    /// <summary>
    /// Reads what is there, names made canonical; AUTH_TRUNC counts before AUTH. On failure nothing is left over: what was read is disposed.
    /// </summary>
    public static XfrmError Parse(in XfrmAttributes attributes, out List<AlgorithmSpec> algorithms)
    {
        algorithms = [];
        var error = Add(attributes, XfrmAttribute.AlgorithmAead, AlgorithmKind.Aead, algorithms);
        if (!error.Failed)
        {
            error = attributes.Has(XfrmAttribute.AlgorithmAuthenticationTruncated)
                ? Add(attributes, XfrmAttribute.AlgorithmAuthenticationTruncated, AlgorithmKind.AuthenticationTruncated, algorithms)
                : Add(attributes, XfrmAttribute.AlgorithmAuthentication, AlgorithmKind.Authentication, algorithms);
        }

        error = error.Failed ? error : Add(attributes, XfrmAttribute.AlgorithmEncryption, AlgorithmKind.Encryption, algorithms);
        if (error.Failed)
        {
            Dispose(algorithms);
        }

        return error;
    }

    /// <summary>Zeroes the keys.</summary>
    public static void Dispose(List<AlgorithmSpec> algorithms)
    {
        foreach (var algorithm in algorithms)
        {
            algorithm.Dispose();
        }
    }

    private static XfrmError Add(in XfrmAttributes attributes, XfrmAttribute type, AlgorithmKind kind, List<AlgorithmSpec> algorithms)
    {
        if (!attributes.Has(type))
        {
            return XfrmError.None;
        }

        var value = attributes[type];
        string name = NameOf(value);
        if (EspTransformFactory.CanonicalName(kind, name) is not { } canonical)
        {
            return new XfrmError(LinuxError.NotImplemented, $"Algorithm '{name}' ({WordFor(kind)}) is not supported by Espalier", attributes.OffsetOf(type));
        }

        uint icv = IcvOf(value, kind);
        if (kind == AlgorithmKind.Aead && EspTransformFactory.AeadIcvError(canonical, icv) is { } reason)
        {
            return new XfrmError(LinuxError.NotImplemented, reason, attributes.OffsetOf(type));
        }

        uint bits = KeyBits(value);
        if (bits % 8 != 0)
        {
            return new XfrmError(LinuxError.Invalid, $"The key of {canonical} is not a whole number of bytes", attributes.OffsetOf(type));
        }

        if (bits > LongestKey * 8)
        {
            return new XfrmError(LinuxError.Invalid, $"The key of {canonical} is longer than {LongestKey * 8} bits", attributes.OffsetOf(type));
        }

        if (icv > 4096)
        {
            return new XfrmError(LinuxError.Invalid, "Invalid length requested for truncated ICV", attributes.OffsetOf(type));
        }

        if (icv == 0 && kind is AlgorithmKind.Authentication or AlgorithmKind.AuthenticationTruncated)
        {
            icv = (uint)EspTransformFactory.DefaultIcvBits(canonical);
        }

        algorithms.Add(new AlgorithmSpec(kind, canonical, value.Slice(HeaderLength(type), (int)(bits / 8)), (int)icv));
        return XfrmError.None;
    }

    private static uint IcvOf(ReadOnlySpan<byte> value, AlgorithmKind kind) => kind switch
    {
        AlgorithmKind.Aead => MemoryMarshal.Read<XfrmAlgorithmAead>(value).IcvLength,
        AlgorithmKind.AuthenticationTruncated => MemoryMarshal.Read<XfrmAlgorithmAuthentication>(value).TruncatedLength,
        _ => 0,
    };

    private static string WordFor(AlgorithmKind kind) => kind switch
    {
        AlgorithmKind.Aead => "aead",
        AlgorithmKind.Encryption => "enc",
        AlgorithmKind.AuthenticationTruncated => "auth-trunc",
        _ => "auth",
    };

    // The name as text; bytes that do not print are replaced, because it is quoted in answers and logs.
    private static string NameOf(ReadOnlySpan<byte> value)
    {
        var bytes = value[..(Unsafe.SizeOf<XfrmAlgorithmName>() - 1)];
        int end = bytes.IndexOf((byte)0);
        bytes = end < 0 ? bytes : bytes[..end];
        return string.Create(bytes.Length, bytes, static (text, source) =>
        {
            for (int i = 0; i < source.Length; i++)
            {
                text[i] = source[i] is > 0x20 and < 0x7f ? (char)source[i] : '?';
            }
        });
    }

    private static uint KeyBits(ReadOnlySpan<byte> value) => MemoryMarshal.Read<XfrmAlgorithm>(value).KeyLength;

    private static ulong KeyBytes(uint bits) => ((ulong)bits + 7) / 8;

    private static int HeaderLength(XfrmAttribute type) => type switch
    {
        XfrmAttribute.AlgorithmAead => Unsafe.SizeOf<XfrmAlgorithmAead>(),
        XfrmAttribute.AlgorithmAuthenticationTruncated => Unsafe.SizeOf<XfrmAlgorithmAuthentication>(),
        _ => Unsafe.SizeOf<XfrmAlgorithm>(),
    };
}
