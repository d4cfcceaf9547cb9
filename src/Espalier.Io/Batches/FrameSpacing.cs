namespace Espalier.Io.Batches;

/// <summary>
/// How much longer a packet is as a frame, made around it in place:
/// <code>
/// | Before | packet | padding up to a multiple of Alignment, Trailer | Behind |
///          └──────── a multiple of Alignment ─────────────────────┘
/// </code>
/// </summary>
/// <param name="Before">Bytes before the packet.</param>
/// <param name="Trailer">Bytes that end the aligned part.</param>
/// <param name="Alignment">A power of two; 0 in <see cref="None"/>.</param>
/// <param name="Behind">Bytes behind the aligned part.</param>
public readonly record struct FrameSpacing(int Before, int Trailer, int Alignment, int Behind)
{
    /// <summary>Nothing is known of frames.</summary>
    public static FrameSpacing None => default;

    /// <summary>Bytes of the frame of a packet of so many bytes; 0 for <see cref="None"/>.</summary>
    public int FrameLength(int packetLength) =>
        Alignment == 0 ? 0 : Before + ((packetLength + Trailer + Alignment - 1) & -Alignment) + Behind;
}
