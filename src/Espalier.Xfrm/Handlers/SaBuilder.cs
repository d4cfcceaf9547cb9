using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Makes a valid SA from a verified NEWSA or UPDSA (the kernel's xfrm_state_construct).</summary>
internal static class SaBuilder
{
    /// <summary>Builds the SA with its transform; on failure nothing is left over.</summary>
    public static XfrmError Build(in XfrmUserSaInfo info, in XfrmAttributes attributes, CryptoEngine engine, ulong now, out SecurityAssociation? sa)
    {
        sa = null;
        var error = AlgorithmParser.Parse(attributes, out var algorithms);
        if (error.Failed)
        {
            return error;
        }

        bool extended = (info.Flags & (byte)SaFlags.Esn) != 0;
        if (!EspTransformFactory.TryCreate(algorithms, extended, engine, out var transform, out string? reason))
        {
            AlgorithmParser.Dispose(algorithms);
            return XfrmError.Invalid(reason);
        }

        error = VerifyWindow(attributes, extended);
        if (error.Failed)
        {
            transform.Dispose();
            AlgorithmParser.Dispose(algorithms);
            return error;
        }

        sa = Create(info, attributes, algorithms, transform);
        RestoreReplay(sa, attributes);
        sa.Usage.AddTime = now;
        ReadLifetime(sa, attributes);
        ReadThresholds(sa, attributes, XfrmValue.DefaultReplayThreshold, XfrmValue.DefaultEventTimer);
        return XfrmError.None;
    }

    /// <summary>XFRMA_LTIME_VAL replaces what was used so far.</summary>
    public static void ReadLifetime(SecurityAssociation sa, in XfrmAttributes attributes)
    {
        if (!attributes.Has(XfrmAttribute.LifetimeValue))
        {
            return;
        }

        var current = attributes.Read<XfrmLifetimeCurrent>(XfrmAttribute.LifetimeValue);
        sa.Usage.Bytes = current.Bytes;
        sa.Usage.Packets = current.Packets;
        sa.Usage.AddTime = current.AddTime;
        sa.Usage.UseTime = current.UseTime;
    }

    /// <summary>XFRMA_REPLAY_THRESH, XFRMA_ETIMER_THRESH and XFRMA_MTIMER_THRESH.</summary>
    public static void ReadThresholds(SecurityAssociation sa, in XfrmAttributes attributes, uint difference, uint age)
    {
        sa.ReplayMaxDifference = attributes.ReadUInt32(XfrmAttribute.ReplayThreshold, difference);
        sa.ReplayMaxAge = attributes.ReadUInt32(XfrmAttribute.EventTimerThreshold, age);
        sa.MappingMaxAge = attributes.ReadUInt32(XfrmAttribute.MappingTimerThreshold, sa.MappingMaxAge);
    }

    /// <summary>REPLAY_VAL or REPLAY_ESN_VAL, as the SA keeps its window, replaces sequence numbers and bitmap.</summary>
    public static void RestoreReplay(SecurityAssociation sa, in XfrmAttributes attributes)
    {
        if (sa.ReplayStateIsEsn)
        {
            if (attributes.Has(XfrmAttribute.ReplayEsnValue))
            {
                RestoreEsn(sa, attributes[XfrmAttribute.ReplayEsnValue]);
            }
        }
        else if (attributes.Has(XfrmAttribute.ReplayValue))
        {
            var state = attributes.Read<XfrmReplayState>(XfrmAttribute.ReplayValue);
            sa.OutboundSequence = state.OutboundSequence;
            sa.Replay?.RestoreLegacy(state.Sequence, state.Bitmap);
        }
    }

    /// <summary>Reads UDP encapsulation.</summary>
    public static UdpEncapsulation? ReadEncapsulation(in XfrmAttributes attributes, IpVersion version)
    {
        if (!attributes.Has(XfrmAttribute.Encapsulation))
        {
            return null;
        }

        var template = attributes.Read<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation);
        return new UdpEncapsulation(
            XfrmConversions.Swap(template.SourcePort),
            XfrmConversions.Swap(template.DestinationPort),
            XfrmConversions.ToAddress(template.OriginalAddress, version));
    }

    /// <summary>
    /// The SA's own selector: where it has no family and the flag af-unspec is off, that of the outer header (copy_from_user_state).
    /// But a request that names no selector at all restricts nothing here, whatever the flag: the kernel would then admit inner packets of the
    /// outer header's family only, which no user of `ip xfrm state add` without `sel` means. GETSA shows it as the kernel does.
    /// </summary>
    public static TrafficSelector ReadSelector(in XfrmUserSaInfo info)
    {
        ushort family = info.Selector.Family;
        if (family == XfrmValue.FamilyUnspecified && (info.Flags & (byte)SaFlags.AfUnspec) == 0)
        {
            bool named = info.Selector.Protocol != 0 || info.Selector.SourcePrefixLength != 0 || info.Selector.DestinationPrefixLength != 0
                || info.Selector.SourcePortMask != 0 || info.Selector.DestinationPortMask != 0;
            family = named ? info.Family : XfrmValue.FamilyUnspecified;
        }

        return XfrmConversions.ToSelector(info.Selector, XfrmConversions.ToVersion(family));
    }

    private static SecurityAssociation Create(
        in XfrmUserSaInfo info, in XfrmAttributes attributes, List<AlgorithmSpec> algorithms, EspTransform transform)
    {
        var version = XfrmConversions.ToVersion(info.Family);
        bool extended = (info.Flags & (byte)SaFlags.Esn) != 0;
        bool inEsnForm = attributes.Has(XfrmAttribute.ReplayEsnValue);
        var esn = inEsnForm ? attributes.Read<XfrmReplayStateEsn>(XfrmAttribute.ReplayEsnValue) : default;
        int window = inEsnForm ? (int)esn.ReplayWindow : Math.Min(info.ReplayWindow, (byte)32);
        return new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(XfrmConversions.Swap(info.Id.Spi)), XfrmConversions.ToAddress(info.Id.DestinationAddress, version)),
            Source = XfrmConversions.ToAddress(info.SourceAddress, version),
            State = SaState.Valid,
            Transform = transform,
            Algorithms = algorithms,
            ReqId = info.ReqId,
            Mode = IpsecMode.Tunnel,
            Flags = (SaFlags)info.Flags,
            ExtraFlags = (SaExtraFlags)attributes.ReadUInt32(XfrmAttribute.SaExtraFlags, 0),
            Selector = ReadSelector(info),
            Encapsulation = ReadEncapsulation(attributes, version),
            TfcPadding = attributes.ReadUInt32(XfrmAttribute.TfcPadding, 0),
            Limits = XfrmConversions.ToLimits(info.Limits),
            KeyManagerSequence = info.Sequence,
            ReplayWindowSize = window,
            ReplayStateIsEsn = inEsnForm,
            ReplayBitmapWords = (int)esn.BitmapLength,
            Replay = window > 0 ? new ReplayWindow(window, extended) : null,
            CareOfAddress = attributes.Has(XfrmAttribute.CareOfAddress)
                ? attributes[XfrmAttribute.CareOfAddress][..Unsafe.SizeOf<XfrmAddress>()].ToArray() : null,
            SaDirection = attributes.Has(XfrmAttribute.SaDirection) ? attributes[XfrmAttribute.SaDirection][0] : (byte)0,
        };
    }

    private static void RestoreEsn(SecurityAssociation sa, ReadOnlySpan<byte> value)
    {
        var state = MemoryMarshal.Read<XfrmReplayStateEsn>(value);
        sa.OutboundSequence = state.OutboundSequence | (sa.UsesEsn ? (ulong)state.OutboundSequenceHigh << 32 : 0);
        ulong highest = state.Sequence | (sa.UsesEsn ? (ulong)state.SequenceHigh << 32 : 0);
        if (state.ReplayWindow != sa.ReplayWindowSize)
        {
            sa.ReplayWindowSize = (int)state.ReplayWindow;
            sa.Replay = state.ReplayWindow > 0 ? new ReplayWindow((int)state.ReplayWindow, sa.UsesEsn) : null;
        }

        var words = MemoryMarshal.Cast<byte, uint>(value[Unsafe.SizeOf<XfrmReplayStateEsn>()..]);
        sa.Replay?.Restore(highest, words[..Math.Min(words.Length, (int)state.BitmapLength)]);
    }

    private static XfrmError VerifyWindow(in XfrmAttributes attributes, bool extended) =>
        attributes.Has(XfrmAttribute.ReplayEsnValue)
            ? SaReplayVerifier.VerifyWindow(
                attributes.Read<XfrmReplayStateEsn>(XfrmAttribute.ReplayEsnValue),
                extended,
                attributes.Has(XfrmAttribute.SaDirection) ? attributes[XfrmAttribute.SaDirection][0] : (byte)0)
            : XfrmError.None;
}
