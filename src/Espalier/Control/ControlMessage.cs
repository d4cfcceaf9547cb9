namespace Espalier.Control;

/// <summary>Message types of the control connection that are not XFRM's.</summary>
internal static class ControlMessage
{
    /// <summary>ATTACH: u32 version, u32 netlink protocol; without a descriptor it only asks.</summary>
    internal const ushort Attach = 0xE500;

    /// <summary>STAT: the answer is a JSON document in parts.</summary>
    internal const ushort Statistics = 0xE503;

    /// <summary>Version of ATTACH.</summary>
    internal const uint Version = 1;

    /// <summary>NETLINK_XFRM.</summary>
    internal const uint NetlinkXfrm = 6;
}
