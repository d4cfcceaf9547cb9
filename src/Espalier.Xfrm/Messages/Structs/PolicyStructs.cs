using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

/// <summary>xfrm_userpolicy_info: header of NEWPOLICY and UPDPOLICY.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserPolicyInfo
{
    public XfrmSelector Selector;
    public XfrmLifetimeConfiguration Limits;
    public XfrmLifetimeCurrent Current;
    public uint Priority;
    public uint Index;
    public byte Direction;
    public byte Action;
    public byte Flags;
    public byte Share;
}

/// <summary>xfrm_userpolicy_id: header of GETPOLICY, DELPOLICY and MIGRATE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserPolicyId
{
    public XfrmSelector Selector;
    public uint Index;
    public byte Direction;
}

/// <summary>xfrm_user_tmpl.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserTemplate
{
    public XfrmId Id;
    public ushort Family;
    public XfrmAddress SourceAddress;
    public uint ReqId;
    public byte Mode;
    public byte Share;
    public byte Optional;
    public uint AuthenticationAlgorithms;
    public uint EncryptionAlgorithms;
    public uint CompressionAlgorithms;
}

/// <summary>xfrm_userpolicy_type.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserPolicyType
{
    public byte Type;
    public ushort Reserved1;
    public byte Reserved2;
}

/// <summary>xfrm_userpolicy_default: 1 block, 2 accept, for each direction.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserPolicyDefault
{
    public byte In;
    public byte Forward;
    public byte Out;
}

/// <summary>xfrm_user_migrate.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserMigrate
{
    public XfrmAddress OldDestinationAddress;
    public XfrmAddress OldSourceAddress;
    public XfrmAddress NewDestinationAddress;
    public XfrmAddress NewSourceAddress;
    public byte Protocol;
    public byte Mode;
    public ushort Reserved;
    public uint ReqId;
    public ushort OldFamily;
    public ushort NewFamily;
}

/// <summary>xfrm_user_kmaddress: the addresses that IKE is to use after a MIGRATE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserKeyManagerAddress
{
    public XfrmAddress Local;
    public XfrmAddress Remote;
    public uint Reserved;
    public ushort Family;
}
