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
