using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

/// <summary>xfrm_aevent_id: header of NEWAE and GETAE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmAsyncEventId
{
    public XfrmUserSaId Id;
    public XfrmAddress SourceAddress;
    public uint Flags;
    public uint ReqId;
}

/// <summary>xfrm_user_acquire.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserAcquire
{
    public XfrmId Id;
    public XfrmAddress SourceAddress;
    public XfrmSelector Selector;
    public XfrmUserPolicyInfo Policy;
    public uint AuthenticationAlgorithms;
    public uint EncryptionAlgorithms;
    public uint CompressionAlgorithms;
    public uint Sequence;
}

/// <summary>xfrm_user_expire.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserExpire
{
    public XfrmUserSaInfo State;
    public byte Hard;
}

/// <summary>xfrm_user_polexpire.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserPolicyExpire
{
    public XfrmUserPolicyInfo Policy;
    public byte Hard;
}

/// <summary>xfrm_user_mapping. The ports are in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserMapping
{
    public XfrmUserSaId Id;
    public uint ReqId;
    public XfrmAddress OldSourceAddress;
    public XfrmAddress NewSourceAddress;
    public ushort OldSourcePort;
    public ushort NewSourcePort;
}

/// <summary>xfrm_user_report: sent by the kernel for mobile IPv6 only; Espalier never sends it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserReport
{
    public byte Protocol;
    public XfrmSelector Selector;
}

/// <summary>xfrmu_sadhinfo.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmSadHashInfo
{
    public uint Buckets;
    public uint MaximumBuckets;
}

/// <summary>xfrmu_spdinfo: number of policies by direction; the last three are of sockets.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmSpdInfo
{
    public uint InCount;
    public uint OutCount;
    public uint ForwardCount;
    public uint InSocketCount;
    public uint OutSocketCount;
    public uint ForwardSocketCount;
}

/// <summary>xfrmu_spdhinfo.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmSpdHashInfo
{
    public uint Buckets;
    public uint MaximumBuckets;
}

/// <summary>xfrmu_spdhthresh: prefix lengths from which the kernel hashes policies.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmSpdHashThreshold
{
    public byte LocalBits;
    public byte RemoteBits;
}
