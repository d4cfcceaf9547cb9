namespace Espalier.Ipsec.Algorithms;

/// <summary>Which attribute of the XFRM protocol carried an algorithm.</summary>
public enum AlgorithmKind : byte
{
    /// <summary>XFRMA_ALG_CRYPT: encryption alone.</summary>
    Encryption,

    /// <summary>XFRMA_ALG_AUTH: integrity alone, ICV length the algorithm's default.</summary>
    Authentication,

    /// <summary>XFRMA_ALG_AUTH_TRUNC: integrity alone, ICV length given.</summary>
    AuthenticationTruncated,

    /// <summary>XFRMA_ALG_AEAD: both in one.</summary>
    Aead,
}

/// <summary>
/// An algorithm as an XFRM program named it, with its key. <see cref="Name"/> is canonical (the kernel's, such as
/// <c>rfc4106(gcm(aes))</c>); the key is kept verbatim, salt included, because GETSA must give it back.
/// The key array is pinned, belongs to this object and is zeroed by <see cref="Dispose"/>; it never appears in
/// <see cref="ToString"/>.
/// </summary>
public sealed class AlgorithmSpec : IDisposable
{
    /// <summary>Copies the key into a pinned array of its own.</summary>
    public AlgorithmSpec(AlgorithmKind kind, string name, ReadOnlySpan<byte> key, int icvBits)
    {
        Kind = kind;
        Name = name;
        IcvBits = icvBits;
        Key = GC.AllocateUninitializedArray<byte>(key.Length, pinned: true);
        key.CopyTo(Key);
    }

    /// <summary>Where it came from.</summary>
    public AlgorithmKind Kind { get; }

    /// <summary>Canonical name.</summary>
    public string Name { get; }

    /// <summary>Key, with the salt at its end where the algorithm has one.</summary>
    public byte[] Key { get; }

    /// <summary>ICV length in bits; 0 for <see cref="AlgorithmKind.Encryption"/>.</summary>
    public int IcvBits { get; }

    /// <summary>Zeroes the key.</summary>
    public void Dispose() => System.Security.Cryptography.CryptographicOperations.ZeroMemory(Key);

    /// <summary>Name and sizes, never the key.</summary>
    public override string ToString() => $"{Name} ({Key.Length * 8}-bit key, {IcvBits}-bit ICV)";
}
