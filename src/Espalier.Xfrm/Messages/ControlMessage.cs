namespace Espalier.Xfrm.Messages;

/// <summary>
/// Message types of the control connection that are not XFRM's, in netlink messages (host byte order) like these. docs/xfrm-control.md describes them.
/// </summary>
internal static class ControlMessage
{
    /// <summary>u32 version, u32 netlink protocol, with end B of a datagram socket pair; without a descriptor it only asks. Answer: NLMSG_ERROR.</summary>
    public const ushort Attach = 0xE500;

    /// <summary>To the client: the request datagram on B is handled, its answers are queued. u32 errno, then the u32 outcome of each message.</summary>
    public const ushort Done = 0xE501;

    /// <summary>u32 mask of groups, bit n - 1 for group n: replaces the subscription. Answer: NLMSG_ERROR.</summary>
    public const ushort Groups = 0xE502;

    /// <summary>Statistics as JSON in parts of this type (NLM_F_MULTI), then NLMSG_DONE.</summary>
    public const ushort Statistics = 0xE503;

    /// <summary>ESP on the UDP port of an IKE daemon: <see cref="EncapsulationRequest"/>. Answer: NLMSG_ERROR.</summary>
    public const ushort Encapsulation = 0xE504;

    /// <summary>First of the private types.</summary>
    public const ushort First = Attach;

    /// <summary>Version of ATTACH.</summary>
    public const uint Version = 1;

    /// <summary>NETLINK_XFRM.</summary>
    public const uint NetlinkXfrm = 6;

    /// <summary>NLMSGERR_ATTR_COOKIE: in the answer to ATTACH, the firewall mark that Espalier's routing exempts (u32).</summary>
    public const ushort CookieAttribute = 3;
}
