namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// One array a thread for libraries that take arrays and not spans, or that cannot work in place. It belongs to the thread, not
/// to an SA, so that memory does not grow with SAs; only the pages that packets have reached are resident. It keeps the last
/// packet's bytes, as the batch's buffers do, and never a key.
/// </summary>
internal static class PacketScratch
{
    /// <summary>The longest ESP packet that a transform takes: what an IPv4 or IPv6 length field can state.</summary>
    public const int LongestPacket = 65_535;

    /// <summary>Room for a packet and a block before or behind it.</summary>
    public const int Length = LongestPacket + 65;

    [ThreadStatic]
    private static byte[]? s_array;

    /// <summary>The calling thread's array of <see cref="Length"/> bytes; valid until the next transform on this thread.</summary>
    public static byte[] Rent() => s_array ??= GC.AllocateUninitializedArray<byte>(Length, pinned: true);
}
