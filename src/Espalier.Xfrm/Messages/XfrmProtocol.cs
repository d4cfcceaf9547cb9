namespace Espalier.Xfrm.Messages;

/// <summary>Message types of XFRM netlink (linux/xfrm.h).</summary>
internal enum XfrmMessage : ushort
{
    NewSa = 0x10,
    DeleteSa,
    GetSa,
    NewPolicy,
    DeletePolicy,
    GetPolicy,
    AllocateSpi,
    Acquire,
    Expire,
    UpdatePolicy,
    UpdateSa,
    PolicyExpire,
    FlushSa,
    FlushPolicy,
    NewAsyncEvent,
    GetAsyncEvent,
    Report,
    Migrate,
    NewSadInfo,
    GetSadInfo,
    NewSpdInfo,
    GetSpdInfo,
    Mapping,
    SetDefault,
    GetDefault,

    /// <summary>The last type that the kernel knows.</summary>
    Last = GetDefault,
}

/// <summary>Attribute types of XFRM netlink, up to Linux 6.18.</summary>
internal enum XfrmAttribute : ushort
{
    Unspecified = 0,
    AlgorithmAuthentication,
    AlgorithmEncryption,
    AlgorithmCompression,
    Encapsulation,
    Template,
    Sa,
    Policy,
    SecurityContext,
    LifetimeValue,
    ReplayValue,
    ReplayThreshold,
    EventTimerThreshold,
    SourceAddress,
    CareOfAddress,
    LastUsed,
    PolicyType,
    Migrate,
    AlgorithmAead,
    KeyManagerAddress,
    AlgorithmAuthenticationTruncated,
    Mark,
    TfcPadding,
    ReplayEsnValue,
    SaExtraFlags,
    Protocol,
    AddressFilter,
    Pad,
    OffloadDevice,
    SetMark,
    SetMarkMask,
    InterfaceId,
    MappingTimerThreshold,
    SaDirection,
    NatKeepaliveInterval,
    SaPerCpu,
    IptfsDropTime,
    IptfsReorderWindow,
    IptfsDontFragment,
    IptfsInitialDelay,
    IptfsMaximumQueueSize,
    IptfsPacketSize,

    /// <summary>The last type that the kernel knows.</summary>
    Last = IptfsPacketSize,
}

/// <summary>Attribute types of NEWSADINFO.</summary>
internal enum XfrmSadAttribute : ushort
{
    Count = 1,
    HashInfo = 2,
}

/// <summary>Attribute types of NEWSPDINFO.</summary>
internal enum XfrmSpdAttribute : ushort
{
    Info = 1,
    HashInfo = 2,
    IPv4HashThreshold = 3,
    IPv6HashThreshold = 4,
    Last = IPv6HashThreshold,
}

/// <summary>Notification groups (XFRMNLGRP_*). The bit of group n in a subscription is n - 1.</summary>
public enum XfrmGroup
{
    /// <summary>ACQUIRE.</summary>
    Acquire = 1,

    /// <summary>EXPIRE and POLEXPIRE.</summary>
    Expire = 2,

    /// <summary>NEWSA, UPDSA, DELSA, FLUSHSA.</summary>
    Sa = 3,

    /// <summary>NEWPOLICY, UPDPOLICY, DELPOLICY, FLUSHPOLICY, and the defaults.</summary>
    Policy = 4,

    /// <summary>NEWAE.</summary>
    AsyncEvents = 5,

    /// <summary>REPORT; Espalier sends none.</summary>
    Report = 6,

    /// <summary>MIGRATE.</summary>
    Migrate = 7,

    /// <summary>MAPPING.</summary>
    Mapping = 8,
}

/// <summary>Bits of nlmsg_flags, and message types below XFRM's.</summary>
internal static class Netlink
{
    public const int Alignment = 4;

    public const ushort Error = 2;
    public const ushort Done = 3;

    /// <summary>Types below are control messages, which the kernel acknowledges and otherwise passes over.</summary>
    public const ushort FirstType = 0x10;

    public const ushort Request = 0x01;
    public const ushort Multi = 0x02;
    public const ushort Acknowledge = 0x04;
    public const ushort Dump = 0x300;
    public const ushort Replace = 0x100;

    /// <summary>In an answer: the request is quoted by its header only.</summary>
    public const ushort Capped = 0x100;

    /// <summary>In an answer: attributes of the extended acknowledgement follow.</summary>
    public const ushort AckAttributes = 0x200;

    /// <summary>NLMSGERR_ATTR_MSG.</summary>
    public const ushort ErrorText = 1;

    /// <summary>NLMSGERR_ATTR_OFFS.</summary>
    public const ushort ErrorOffset = 2;

    /// <summary>The type in an attribute's header without the flags for nesting and byte order.</summary>
    public const ushort AttributeTypeMask = 0x3fff;

    public static int Align(int length) => (length + Alignment - 1) & ~(Alignment - 1);
}

/// <summary>Numbers of address families, protocols, modes and flags that messages carry.</summary>
internal static class XfrmValue
{
    public const ushort FamilyUnspecified = 0;
    public const ushort FamilyIPv4 = 2;
    public const ushort FamilyIPv6 = 10;

    public const byte ProtocolRouting = 43;
    public const byte ProtocolEsp = 50;
    public const byte ProtocolAh = 51;
    public const byte ProtocolDestinationOptions = 60;
    public const byte ProtocolIpComp = 108;

    /// <summary>IPSEC_PROTO_ANY and IPSEC_ULPROTO_ANY.</summary>
    public const byte ProtocolAny = 255;

    public const byte ModeTransport = 0;
    public const byte ModeTunnel = 1;
    public const byte ModeRouteOptimization = 2;
    public const byte ModeInTrigger = 3;
    public const byte ModeBeet = 4;
    public const byte ModeIptfs = 5;

    /// <summary>XFRM_MODE_MAX of Linux 6.18.</summary>
    public const byte ModeCount = 6;

    public const byte DirectionIn = 1;
    public const byte DirectionOut = 2;

    /// <summary>XFRM_POLICY_CPU_ACQUIRE.</summary>
    public const byte PolicyFlagCpuAcquire = 4;

    public const byte PolicyTypeMain = 0;
    public const byte PolicyTypeSub = 1;
    public const byte PolicyTypeAny = 255;

    public const byte DefaultBlock = 1;
    public const byte DefaultAccept = 2;

    public const ushort EncapsulationEspInUdpNonIke = 1;
    public const ushort EncapsulationEspInUdp = 2;
    public const ushort EncapsulationEspInTcp = 7;

    /// <summary>XFRM_MAX_DEPTH: templates of a policy, entries of a MIGRATE.</summary>
    public const int MaximumDepth = 6;

    /// <summary>XFRMA_REPLAY_ESN_MAX: bits of the largest replay window.</summary>
    public const int MaximumReplayWindow = 4096;

    // XFRM_AE_*
    public const uint AeReplayThreshold = 1;
    public const uint AeReplayValue = 2;
    public const uint AeLifetimeValue = 4;
    public const uint AeTimerThreshold = 8;
    public const uint AeCauseReplay = 16;
    public const uint AeCauseTimer = 32;
    public const uint AeCauseUpdate = 64;

    /// <summary>net.core.xfrm_aevent_rseqth and xfrm_aevent_etime as the kernel sets them: 2 packets, 10 times 100 ms.</summary>
    public const uint DefaultReplayThreshold = 2;

    /// <summary>See <see cref="DefaultReplayThreshold"/>.</summary>
    public const uint DefaultEventTimer = 10;
}

/// <summary>Error numbers of Linux that answers carry, positive.</summary>
internal static class LinuxError
{
    public const int Perm = 1;
    public const int NoEntry = 2;
    public const int NoProcess = 3;
    public const int InputOutput = 5;
    public const int Busy = 16;
    public const int Exists = 17;
    public const int CrossDevice = 18;
    public const int Invalid = 22;
    public const int OutOfRange = 34;
    public const int NotImplemented = 38;
    public const int NoData = 61;
    public const int BadMessage = 74;
    public const int MessageTooLong = 90;
    public const int ProtocolNotSupported = 93;
    public const int NotSupported = 95;
    public const int AddressFamilyNotSupported = 97;
    public const int NoBuffers = 105;
    public const int TooManyUsers = 87;
    public const int AddressInUse = 98;
}
