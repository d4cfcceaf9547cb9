using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Client;

/// <summary>Writes what follows the header of a request.</summary>
internal static class RequestEncoder
{
    /// <summary>NEWSA and UPDSA.</summary>
    public static void WriteSa(NetlinkWriter writer, SaRequest request)
    {
        bool extended = (request.Flags & SaFlags.Esn) != 0;
        bool inEsnForm = extended || request.ReplayWindow > 32;
        ref var info = ref writer.Reserve<XfrmUserSaInfo>();
        if (request.Selector.Version != IpVersion.None)
        {
            XfrmConversions.FromSelector(request.Selector, ref info.Selector);
        }

        info.Id.DestinationAddress = XfrmConversions.FromAddress(request.Destination);
        info.Id.Spi = XfrmConversions.Swap(request.Spi.Value);
        info.Id.Protocol = XfrmValue.ProtocolEsp;
        info.SourceAddress = XfrmConversions.FromAddress(request.Source);
        XfrmConversions.FromLimits(request.Limits, ref info.Limits);
        info.Sequence = request.AcquireSequence;
        info.ReqId = request.ReqId;
        info.Family = XfrmConversions.ToFamily(request.Destination.Version);
        info.Mode = XfrmValue.ModeTunnel;
        info.ReplayWindow = inEsnForm ? (byte)0 : (byte)request.ReplayWindow;
        info.Flags = (byte)request.Flags;
        foreach (var algorithm in request.Algorithms)
        {
            WriteAlgorithm(writer, algorithm);
        }

        WriteOptional(writer, request);
        WriteReplay(writer, request, inEsnForm);
    }

    /// <summary>NEWPOLICY and UPDPOLICY.</summary>
    public static void WritePolicy(NetlinkWriter writer, PolicyRequest request)
    {
        ref var info = ref writer.Reserve<XfrmUserPolicyInfo>();
        XfrmConversions.FromSelector(request.Selector, ref info.Selector);
        XfrmConversions.FromLimits(request.Limits, ref info.Limits);
        info.Priority = request.Priority;
        info.Index = request.Index;
        info.Direction = (byte)request.Direction;
        info.Action = (byte)request.Action;
        if (request.Template is { } template)
        {
            ref var result = ref writer.ReserveAttribute<XfrmUserTemplate>(XfrmAttribute.Template);
            result.Id.DestinationAddress = XfrmConversions.FromAddress(template.Destination);
            result.Id.Spi = XfrmConversions.Swap(template.Spi.Value);
            result.Id.Protocol = XfrmValue.ProtocolEsp;
            result.Family = XfrmConversions.ToFamily(template.Destination.Version);
            result.SourceAddress = XfrmConversions.FromAddress(template.Source);
            result.ReqId = template.ReqId;
            result.Mode = XfrmValue.ModeTunnel;
            result.AuthenticationAlgorithms = uint.MaxValue;
            result.EncryptionAlgorithms = uint.MaxValue;
            result.CompressionAlgorithms = uint.MaxValue;
        }
    }

    /// <summary>GETSA and DELSA.</summary>
    public static void WriteId(NetlinkWriter writer, SaIdentity identity)
    {
        ref var id = ref writer.Reserve<XfrmUserSaId>();
        id.DestinationAddress = XfrmConversions.FromAddress(identity.Destination);
        id.Spi = XfrmConversions.Swap(identity.Spi.Value);
        id.Family = XfrmConversions.ToFamily(identity.Destination.Version);
        id.Protocol = XfrmValue.ProtocolEsp;
    }

    private static void WriteOptional(NetlinkWriter writer, SaRequest request)
    {
        if (request.ExtraFlags != 0)
        {
            writer.Attribute(XfrmAttribute.SaExtraFlags, (uint)request.ExtraFlags);
        }

        if (request.TfcPadding != 0)
        {
            writer.Attribute(XfrmAttribute.TfcPadding, request.TfcPadding);
        }

        if (request.Encapsulation is { } encapsulation)
        {
            ref var template = ref writer.ReserveAttribute<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation);
            template.Type = XfrmValue.EncapsulationEspInUdp;
            template.SourcePort = XfrmConversions.Swap(encapsulation.SourcePort);
            template.DestinationPort = XfrmConversions.Swap(encapsulation.DestinationPort);
            template.OriginalAddress = XfrmConversions.FromAddress(encapsulation.OriginalAddress);
        }
    }

    private static void WriteReplay(NetlinkWriter writer, SaRequest request, bool inEsnForm)
    {
        if (!inEsnForm)
        {
            if ((request.OutboundSequence | request.InboundSequence) != 0)
            {
                ref var state = ref writer.ReserveAttribute<XfrmReplayState>(XfrmAttribute.ReplayValue);
                state.OutboundSequence = (uint)request.OutboundSequence;
                state.Sequence = (uint)request.InboundSequence;
                state.Bitmap = request.InboundSequence != 0 ? uint.MaxValue : 0;
            }

            return;
        }

        int header = Unsafe.SizeOf<XfrmReplayStateEsn>();
        int words = (request.ReplayWindow + 31) / 32;
        var value = writer.ReserveAttribute((ushort)XfrmAttribute.ReplayEsnValue, header + words * sizeof(uint));
        ref var esn = ref MemoryMarshal.AsRef<XfrmReplayStateEsn>(value);
        esn.BitmapLength = (uint)words;
        esn.ReplayWindow = (uint)request.ReplayWindow;
        esn.OutboundSequence = (uint)request.OutboundSequence;
        esn.OutboundSequenceHigh = (uint)(request.OutboundSequence >> 32);
        esn.Sequence = (uint)request.InboundSequence;
        esn.SequenceHigh = (uint)(request.InboundSequence >> 32);
        if (request.InboundSequence != 0)
        {
            value[header..].Fill(0xff);
        }
    }

    private static void WriteAlgorithm(NetlinkWriter writer, AlgorithmSpec algorithm)
    {
        var (type, header) = algorithm.Kind switch
        {
            AlgorithmKind.Aead => (XfrmAttribute.AlgorithmAead, Unsafe.SizeOf<XfrmAlgorithmAead>()),
            AlgorithmKind.AuthenticationTruncated =>
                (XfrmAttribute.AlgorithmAuthenticationTruncated, Unsafe.SizeOf<XfrmAlgorithmAuthentication>()),
            AlgorithmKind.Authentication => (XfrmAttribute.AlgorithmAuthentication, Unsafe.SizeOf<XfrmAlgorithm>()),
            _ => (XfrmAttribute.AlgorithmEncryption, Unsafe.SizeOf<XfrmAlgorithm>()),
        };
        var value = writer.ReserveAttribute((ushort)type, header + algorithm.Key.Length);
        ref var plain = ref MemoryMarshal.AsRef<XfrmAlgorithm>(value);
        Encoding.ASCII.GetBytes(algorithm.Name, ((Span<byte>)plain.Name)[..^1]);
        plain.KeyLength = (uint)algorithm.Key.Length * 8;
        if (header > Unsafe.SizeOf<XfrmAlgorithm>())
        {
            MemoryMarshal.AsRef<XfrmAlgorithmAead>(value).IcvLength = (uint)algorithm.IcvBits;
        }

        algorithm.Key.CopyTo(value[header..]);
    }
}
