using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

/// <summary>xfrm_stats.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmStatistics
{
    public uint ReplayWindow;
    public uint Replay;
    public uint IntegrityFailed;
}

/// <summary>xfrm_usersa_info: header of NEWSA and UPDSA.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserSaInfo
{
    public XfrmSelector Selector;
    public XfrmId Id;
    public XfrmAddress SourceAddress;
    public XfrmLifetimeConfiguration Limits;
    public XfrmLifetimeCurrent Current;
    public XfrmStatistics Statistics;
    public uint Sequence;
    public uint ReqId;
    public ushort Family;
    public byte Mode;
    public byte ReplayWindow;
    public byte Flags;
}

/// <summary>xfrm_usersa_id: header of GETSA and DELSA. The SPI is in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserSaId
{
    public XfrmAddress DestinationAddress;
    public uint Spi;
    public ushort Family;
    public byte Protocol;
}

/// <summary>xfrm_userspi_info: header of ALLOCSPI. The range is in host byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserSpiInfo
{
    public XfrmUserSaInfo Info;
    public uint Minimum;
    public uint Maximum;
}

/// <summary>xfrm_usersa_flush: header of FLUSHSA.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserSaFlush
{
    public byte Protocol;
}

/// <summary>The name of an algorithm: 64 bytes, ended by a zero.</summary>
[InlineArray(64)]
internal struct XfrmAlgorithmName
{
    private byte _character;
}

/// <summary>xfrm_algo, followed by the key. The key's length is in bits.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmAlgorithm
{
    public XfrmAlgorithmName Name;
    public uint KeyLength;
}

/// <summary>xfrm_algo_auth, followed by the key. Lengths are in bits.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmAlgorithmAuthentication
{
    public XfrmAlgorithmName Name;
    public uint KeyLength;
    public uint TruncatedLength;
}

/// <summary>xfrm_algo_aead, followed by the key with its salt. Lengths are in bits.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmAlgorithmAead
{
    public XfrmAlgorithmName Name;
    public uint KeyLength;
    public uint IcvLength;
}

/// <summary>xfrm_encap_tmpl. The ports are in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmEncapsulationTemplate
{
    public ushort Type;
    public ushort SourcePort;
    public ushort DestinationPort;
    public XfrmAddress OriginalAddress;
}

/// <summary>xfrm_replay_state: bit n of the bitmap is packet seq - n.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmReplayState
{
    public uint OutboundSequence;
    public uint Sequence;
    public uint Bitmap;
}

/// <summary>xfrm_replay_state_esn, followed by BitmapLength words: bit (seq - 1) mod window is packet seq.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmReplayStateEsn
{
    public uint BitmapLength;
    public uint OutboundSequence;
    public uint Sequence;
    public uint OutboundSequenceHigh;
    public uint SequenceHigh;
    public uint ReplayWindow;
}

/// <summary>xfrm_address_filter: narrows a dump of SAs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmAddressFilter
{
    public XfrmAddress SourceAddress;
    public XfrmAddress DestinationAddress;
    public ushort Family;
    public byte SourcePrefixLength;
    public byte DestinationPrefixLength;
}

/// <summary>xfrm_user_offload: always refused.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserOffload
{
    public int InterfaceIndex;
    public byte Flags;
}
