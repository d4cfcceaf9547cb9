namespace Espalier.Ipsec.Esp;

/// <summary>
/// One ESP packet in a batch's buffer, laid out and waiting for its transform.
/// Offset and Length cover the packet from the SPI to the last byte of the ICV.
/// </summary>
public struct EspFrame
{
    /// <summary>Bytes of the buffer before the SPI.</summary>
    public int Offset;

    /// <summary>Bytes from the SPI to the end of the ICV.</summary>
    public int Length;

    /// <summary>The 64-bit sequence number; without ESN the high half is zero.</summary>
    public ulong Sequence;

    /// <summary>Outbound: bytes of the inner packet, which count for the SA's limits.</summary>
    public int InnerLength;

    /// <summary>Set by the transform: <see cref="DropReason.None"/>, or why the packet must be dropped.</summary>
    public DropReason Result;
}

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

/// <summary>
/// The algorithms of one SA with their keys: seals and opens ESP packets in place.
/// Not safe for two threads at once in the same direction; the worker that owns the SA calls it.
/// Implementations throw nothing for any packet content. <see cref="IDisposable.Dispose"/> zeroes the keys.
/// </summary>
public abstract class EspTransform : IDisposable
{
    /// <summary>Creates a transform of the given sizes.</summary>
    protected EspTransform(EspGeometry geometry) => Geometry = geometry;

    /// <summary>The sizes.</summary>
    public EspGeometry Geometry { get; }

    /// <summary>
    /// Seals one packet. On entry SPI, low sequence number, payload, padding and trailer are in place and IV and ICV are not.
    /// On return the IV, the ciphertext and the ICV are written.
    /// </summary>
    /// <param name="packet">From the SPI to the end of the ICV.</param>
    /// <param name="sequence">64-bit sequence number; the high half is zero without ESN.</param>
    /// <returns>False if the library failed; the packet must not be sent.</returns>
    public abstract bool TrySeal(Span<byte> packet, ulong sequence);

    /// <summary>
    /// Verifies the ICV (in constant time) and decrypts in place. On success the bytes between IV and ICV are plaintext.
    /// On failure the content of <paramref name="packet"/> is undefined and must not be used.
    /// </summary>
    /// <param name="packet">From the SPI to the end of the ICV; its length has been checked against <see cref="Geometry"/>.</param>
    /// <param name="sequence">The 64-bit sequence number that the replay check inferred.</param>
    /// <returns>False if the ICV is wrong.</returns>
    public abstract bool TryOpen(Span<byte> packet, ulong sequence);

    /// <summary>Seals a run of packets of this SA. Engines that work on several packets at once override it.</summary>
    public virtual void SealBatch(Span<byte> buffer, Span<EspFrame> frames)
    {
        foreach (ref var frame in frames)
        {
            frame.Result = TrySeal(buffer.Slice(frame.Offset, frame.Length), frame.Sequence)
                ? DropReason.None : DropReason.OutboundTransformFailure;
        }
    }

    /// <summary>
    /// As above where several workers seal packets of this SA at once (run --spread): each worker has a number of its own, from 0, and with it state of its
    /// own. Keys, and what makes an IV of a sequence number, are the same.
    /// </summary>
    public virtual void SealBatch(Span<byte> buffer, Span<EspFrame> frames, int worker) => SealBatch(buffer, frames);

    /// <summary>Opens a run of packets of this SA. Engines that work on several packets at once override it.</summary>
    public virtual void OpenBatch(Span<byte> buffer, Span<EspFrame> frames)
    {
        foreach (ref var frame in frames)
        {
            frame.Result = TryOpen(buffer.Slice(frame.Offset, frame.Length), frame.Sequence)
                ? DropReason.None : DropReason.InboundIntegrityFailure;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Zeroes keys and releases native handles.</summary>
    protected abstract void Dispose(bool disposing);
}
