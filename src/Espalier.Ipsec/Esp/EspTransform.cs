namespace Espalier.Ipsec.Esp;

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
