using Espalier.Wire.Addresses;

namespace Espalier.Ipsec;

/// <summary>
/// Which addresses this host delivers to itself. Decides whether a decrypted packet meets the <c>in</c> or the <c>fwd</c> policies
/// (RFC 4301 §5.2; the kernel asks its routing table).
/// </summary>
public interface ILocalAddresses
{
    /// <summary>
    /// True where a packet to <paramref name="address"/> would be delivered on this host: an address of any of its interfaces, 127.0.0.0/8, ::1,
    /// a broadcast address of an attached network, 255.255.255.255, or a multicast address (delivered here; forwarding of multicast is not our concern).
    /// Called by workers for each packet while the control thread may be changing the set: must not lock or allocate (swap an immutable snapshot).
    /// </summary>
    bool IsLocal(InternetAddress address);
}
