using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Writes an SA as the kernel does: the struct, then the attributes in the order of copy_to_user_state_extra. Workers frozen.</summary>
internal static class SaWriter
{
    /// <summary>Fills xfrm_usersa_info in place.</summary>
    public static void Fill(ref XfrmUserSaInfo info, SecurityAssociation sa)
    {
        FillSelector(ref info.Selector, sa);
        FillId(ref info.Id, sa);
        info.SourceAddress = XfrmConversions.FromAddress(sa.Source);
        XfrmConversions.FromLimits(sa.Limits, ref info.Limits);
        XfrmConversions.FromUsage(sa.Usage, ref info.Current);
        info.Statistics.ReplayWindow = (uint)sa.ReplayWindowFailures;
        info.Statistics.Replay = (uint)sa.ReplayFailures;
        info.Statistics.IntegrityFailed = (uint)sa.IntegrityFailures;
        info.Sequence = sa.KeyManagerSequence;
        info.ReqId = sa.ReqId;
        info.Family = FamilyOf(sa);
        info.Mode = (byte)sa.Mode;
        info.ReplayWindow = sa.ReplayStateIsEsn ? (byte)0 : (byte)sa.ReplayWindowSize;
        info.Flags = (byte)sa.Flags;
    }

    /// <summary>Fills xfrm_id in place: a struct that is copied brings the bytes of its padding, which may be anything.</summary>
    public static void FillId(ref XfrmId id, SecurityAssociation sa)
    {
        id.DestinationAddress = XfrmConversions.FromAddress(sa.Id.Destination);
        id.Spi = XfrmConversions.Swap(sa.Id.Spi.Value);
        id.Protocol = XfrmValue.ProtocolEsp;
    }

    /// <summary>Fills xfrm_usersa_id in place.</summary>
    public static void FillId(ref XfrmUserSaId id, SecurityAssociation sa)
    {
        id.DestinationAddress = XfrmConversions.FromAddress(sa.Id.Destination);
        id.Spi = XfrmConversions.Swap(sa.Id.Spi.Value);
        id.Family = FamilyOf(sa);
        id.Protocol = XfrmValue.ProtocolEsp;
    }

    /// <summary>Address family of the outer header.</summary>
    public static ushort FamilyOf(SecurityAssociation sa) => XfrmConversions.ToFamily(sa.Id.Destination.Version);

    /// <summary>Writes all attributes.</summary>
    public static void WriteAttributes(NetlinkWriter writer, SecurityAssociation sa)
    {
        if (sa.ExtraFlags != 0)
        {
            writer.Attribute(XfrmAttribute.SaExtraFlags, (uint)sa.ExtraFlags);
        }

        if (sa.CareOfAddress is not null)
        {
            writer.Attribute(XfrmAttribute.CareOfAddress, sa.CareOfAddress);
        }

        if (sa.Usage.LastUsed != 0)
        {
            writer.Attribute(XfrmAttribute.LastUsed, sa.Usage.LastUsed);
        }

        WriteAlgorithms(writer, sa);
        if (sa.Encapsulation is { } encapsulation)
        {
            WriteEncapsulation(writer, encapsulation);
        }

        if (sa.TfcPadding != 0)
        {
            writer.Attribute(XfrmAttribute.TfcPadding, sa.TfcPadding);
        }

        WriteReplayState(writer, sa);
        if (sa.MappingMaxAge != 0)
        {
            writer.Attribute(XfrmAttribute.MappingTimerThreshold, sa.MappingMaxAge);
        }

        if (sa.SaDirection != 0)
        {
            writer.Attribute(XfrmAttribute.SaDirection, sa.SaDirection);
        }
    }

    /// <summary>REPLAY_ESN_VAL or REPLAY_VAL, whichever set the window.</summary>
    public static void WriteReplayState(NetlinkWriter writer, SecurityAssociation sa)
    {
        if (!sa.ReplayStateIsEsn)
        {
            ref var state = ref writer.ReserveAttribute<XfrmReplayState>(XfrmAttribute.ReplayValue);
            state.OutboundSequence = (uint)sa.OutboundSequence;
            state.Sequence = (uint)(sa.Replay?.Highest ?? 0);
            state.Bitmap = sa.Replay?.SaveLegacy() ?? 0;
            return;
        }

        int header = Unsafe.SizeOf<XfrmReplayStateEsn>();
        var value = writer.ReserveAttribute((ushort)XfrmAttribute.ReplayEsnValue, header + sa.ReplayBitmapWords * sizeof(uint));
        ref var esn = ref MemoryMarshal.AsRef<XfrmReplayStateEsn>(value);
        ulong highest = sa.Replay?.Highest ?? 0;
        esn.BitmapLength = (uint)sa.ReplayBitmapWords;
        esn.OutboundSequence = (uint)sa.OutboundSequence;
        esn.OutboundSequenceHigh = (uint)(sa.OutboundSequence >> 32);
        esn.Sequence = (uint)highest;
        esn.SequenceHigh = (uint)(highest >> 32);
        esn.ReplayWindow = (uint)sa.ReplayWindowSize;
        sa.Replay?.Save(MemoryMarshal.Cast<byte, uint>(value[header..]));
    }

    private static void FillSelector(ref XfrmSelector selector, SecurityAssociation sa)
    {
        if (sa.Selector.Version != IpVersion.None)
        {
            XfrmConversions.FromSelector(sa.Selector, ref selector);
        }
        else if (sa.Transform is null)
        {
            // __find_acq_core gives a larval SA a selector of both addresses and no family; the state says so no more when EXPIRE tells of its end.
            selector.DestinationAddress = XfrmConversions.FromAddress(sa.Id.Destination);
            selector.SourceAddress = XfrmConversions.FromAddress(sa.Source);
            selector.DestinationPrefixLength = (byte)sa.Id.Destination.BitLength;
            selector.SourcePrefixLength = (byte)sa.Source.BitLength;
        }
        else if ((sa.Flags & SaFlags.AfUnspec) == 0)
        {
            selector.Family = XfrmConversions.ToFamily(sa.Source.Version);
        }
    }

    private static void WriteAlgorithms(NetlinkWriter writer, SecurityAssociation sa)
    {
        // The kernel's order: AEAD, authentication (in both forms), encryption.
        foreach (var algorithm in sa.Algorithms)
        {
            if (algorithm.Kind == AlgorithmKind.Aead)
            {
                WriteAead(writer, algorithm);
            }
        }

        foreach (var algorithm in sa.Algorithms)
        {
            if (algorithm.Kind is AlgorithmKind.Authentication or AlgorithmKind.AuthenticationTruncated)
            {
                WritePlain(writer, XfrmAttribute.AlgorithmAuthentication, algorithm);
                WriteAuthentication(writer, algorithm);
            }
        }

        foreach (var algorithm in sa.Algorithms)
        {
            if (algorithm.Kind == AlgorithmKind.Encryption)
            {
                WritePlain(writer, XfrmAttribute.AlgorithmEncryption, algorithm);
            }
        }
    }

    private static void WriteAead(NetlinkWriter writer, AlgorithmSpec algorithm)
    {
        int header = Unsafe.SizeOf<XfrmAlgorithmAead>();
        var value = writer.ReserveAttribute((ushort)XfrmAttribute.AlgorithmAead, header + algorithm.Key.Length);
        ref var aead = ref MemoryMarshal.AsRef<XfrmAlgorithmAead>(value);
        Encoding.ASCII.GetBytes(algorithm.Name, aead.Name);
        aead.KeyLength = (uint)algorithm.Key.Length * 8;
        aead.IcvLength = (uint)algorithm.IcvBits;
        algorithm.Key.CopyTo(value[header..]);
    }

    private static void WriteAuthentication(NetlinkWriter writer, AlgorithmSpec algorithm)
    {
        int header = Unsafe.SizeOf<XfrmAlgorithmAuthentication>();
        var value = writer.ReserveAttribute((ushort)XfrmAttribute.AlgorithmAuthenticationTruncated, header + algorithm.Key.Length);
        ref var authentication = ref MemoryMarshal.AsRef<XfrmAlgorithmAuthentication>(value);
        Encoding.ASCII.GetBytes(algorithm.Name, authentication.Name);
        authentication.KeyLength = (uint)algorithm.Key.Length * 8;
        authentication.TruncatedLength = (uint)algorithm.IcvBits;
        algorithm.Key.CopyTo(value[header..]);
    }

    private static void WritePlain(NetlinkWriter writer, XfrmAttribute type, AlgorithmSpec algorithm)
    {
        int header = Unsafe.SizeOf<XfrmAlgorithm>();
        var value = writer.ReserveAttribute((ushort)type, header + algorithm.Key.Length);
        ref var plain = ref MemoryMarshal.AsRef<XfrmAlgorithm>(value);
        Encoding.ASCII.GetBytes(algorithm.Name, plain.Name);
        plain.KeyLength = (uint)algorithm.Key.Length * 8;
        algorithm.Key.CopyTo(value[header..]);
    }

    private static void WriteEncapsulation(NetlinkWriter writer, in UdpEncapsulation encapsulation)
    {
        ref var template = ref writer.ReserveAttribute<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation);
        template.Type = XfrmValue.EncapsulationEspInUdp;
        template.SourcePort = XfrmConversions.Swap(encapsulation.SourcePort);
        template.DestinationPort = XfrmConversions.Swap(encapsulation.DestinationPort);
        template.OriginalAddress = XfrmConversions.FromAddress(encapsulation.OriginalAddress);
    }
}
