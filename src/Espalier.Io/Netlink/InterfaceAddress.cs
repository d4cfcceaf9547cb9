using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>An address of an interface; the prefix keeps the host's own address. <see cref="Scope"/> is RT_SCOPE_* (0 global, 253 link, 254 host).</summary>
public readonly record struct InterfaceAddress(uint InterfaceIndex, AddressPrefix Prefix, byte Scope, uint Flags)
{
    /// <summary>Usable as a source: duplicate address detection (RFC 4862 §5.4) is over and did not fail.</summary>
    public bool IsUsable => (Flags & (Interop.Rtnetlink.IFA_F_TENTATIVE | Interop.Rtnetlink.IFA_F_DADFAILED)) == 0;

    /// <summary>Past its preferred lifetime (RFC 4862 §5.5.4).</summary>
    public bool IsDeprecated => (Flags & Interop.Rtnetlink.IFA_F_DEPRECATED) != 0;
}
