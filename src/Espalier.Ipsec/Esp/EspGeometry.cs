namespace Espalier.Ipsec.Esp;

/// <summary>
/// The sizes a transform gives to an ESP packet (RFC 4303 §2):
/// <code>
///  0                   1                   2                   3
/// | Security Parameters Index | Sequence Number | IV (IvLength) |
/// | payload … padding | pad length | next header | ICV (IcvLength) |
/// </code>
/// Payload, padding, pad length and next header together are a multiple of <see cref="Alignment"/> where we send, and of <see cref="CipherBlock"/> in any case.
/// </summary>
/// <param name="IvLength">Bytes of IV in each packet.</param>
/// <param name="IcvLength">Bytes of ICV in each packet.</param>
/// <param name="CipherBlock">Bytes of the cipher's block, a power of two; 1 where the cipher has no blocks: a key stream, or no encryption.</param>
public readonly record struct EspGeometry(int IvLength, int IcvLength, int CipherBlock = 1)
{
    /// <summary>Bytes of SPI and sequence number.</summary>
    public const int HeaderLength = 8;

    /// <summary>Bytes of pad length and next header.</summary>
    public const int TrailerLength = 2;

    // RFC 4303 §2.4: pad length and next header end at a multiple of 4, whatever the cipher.
    private const int LeastAlignment = 4;

    /// <summary>Bytes that every ciphertext that we send is a multiple of: the cipher's block, at least 4 (RFC 4303 §2.4); a power of two.</summary>
    public int Alignment => CipherBlock < LeastAlignment ? LeastAlignment : CipherBlock;

    /// <summary>Length of the whole ESP packet for <paramref name="payloadLength"/> bytes of payload (TFC padding included) and minimal padding.</summary>
    public int PacketLength(int payloadLength)
    {
        int ciphertext = (payloadLength + TrailerLength + Alignment - 1) & -Alignment;
        return HeaderLength + IvLength + ciphertext + IcvLength;
    }

    /// <summary>
    /// True if a packet of this length that was received has room for header, IV, trailer and ICV, and a whole number of the cipher's blocks. That the ciphertext
    /// ends at a multiple of 4 (RFC 4303 §2.4) is asked of the sender; no cipher needs it, and the kernel does not look either.
    /// </summary>
    public bool CanBeOpened(int espLength)
    {
        int ciphertext = espLength - HeaderLength - IvLength - IcvLength;
        return ciphertext >= TrailerLength && (ciphertext & (CipherBlock - 1)) == 0;
    }

    /// <summary>The largest payload whose ESP packet fits in <paramref name="espLength"/> bytes; negative if none does.</summary>
    public int LargestPayload(int espLength)
    {
        int ciphertext = espLength - HeaderLength - IvLength - IcvLength;
        return ciphertext < Alignment ? -1 : (ciphertext & -Alignment) - TrailerLength;
    }
}
