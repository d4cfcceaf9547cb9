namespace Espalier.Wire.Packets;

/// <summary>The control bits of TCP (RFC 9293 §3.1) as they stand in the fourteenth byte of its header.</summary>
internal static class TcpFlags
{
    internal const byte Fin = 0x01;
    internal const byte Syn = 0x02;
    internal const byte Rst = 0x04;
    internal const byte Psh = 0x08;
    internal const byte Urg = 0x20;
    internal const byte Cwr = 0x80;

    /// <summary>What only the last segment of a super-packet may have.</summary>
    internal const byte Ending = Fin | Psh;
}
