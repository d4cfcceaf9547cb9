using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>What the kernel's verify_replay, xfrm_init_replay and xfrm_replay_verify_len refuse.</summary>
internal static class SaReplayVerifier
{
    private const int MaximumWords = XfrmValue.MaximumReplayWindow / 32;

    /// <summary>Checks REPLAY_ESN_VAL of NEWSA and UPDSA.</summary>
    public static XfrmError Verify(in XfrmUserSaInfo info, in XfrmAttributes attributes, byte direction)
    {
        bool extended = (info.Flags & (byte)SaFlags.Esn) != 0;
        if (!attributes.Has(XfrmAttribute.ReplayEsnValue))
        {
            return extended ? XfrmError.Invalid("Missing required attribute for ESN") : XfrmError.None;
        }

        var value = attributes[XfrmAttribute.ReplayEsnValue];
        var state = MemoryMarshal.Read<XfrmReplayStateEsn>(value);
        if (state.BitmapLength > MaximumWords)
        {
            return XfrmError.Invalid("ESN bitmap length must be <= 128");
        }

        int header = Unsafe.SizeOf<XfrmReplayStateEsn>();
        if (value.Length < header + (int)state.BitmapLength * sizeof(uint) && value.Length != header)
        {
            return XfrmError.Invalid("ESN attribute is too short to fit the full bitmap length");
        }

        if (info.Id.Protocol is not (XfrmValue.ProtocolEsp or XfrmValue.ProtocolAh))
        {
            return XfrmError.Invalid("ESN only supported for ESP and AH");
        }

        if (info.ReplayWindow != 0)
        {
            return XfrmError.Invalid("ESN not compatible with legacy replay_window");
        }

        string? text = direction switch
        {
            XfrmValue.DirectionOut => OutputProblem(state, extended),
            XfrmValue.DirectionIn => InputProblem(state, extended),
            _ => null,
        };
        return text is null ? XfrmError.None : XfrmError.Invalid(text);
    }

    /// <summary>Checks the window against its bitmap, which the kernel does after the algorithms.</summary>
    public static XfrmError VerifyWindow(in XfrmReplayStateEsn state, bool extended, byte direction)
    {
        if (state.ReplayWindow > state.BitmapLength * 32)
        {
            return XfrmError.Invalid("ESN replay window is too large for the chosen bitmap size");
        }

        return extended && state.ReplayWindow == 0 && direction != XfrmValue.DirectionOut
            ? XfrmError.Invalid("ESN replay window must be > 0") : XfrmError.None;
    }

    /// <summary>Checks REPLAY_ESN_VAL of NEWAE against the SA that it would change.</summary>
    public static XfrmError VerifyChange(SecurityAssociation sa, in XfrmAttributes attributes)
    {
        if (!sa.ReplayStateIsEsn || !attributes.Has(XfrmAttribute.ReplayEsnValue))
        {
            return XfrmError.None;
        }

        var value = attributes[XfrmAttribute.ReplayEsnValue];
        var state = MemoryMarshal.Read<XfrmReplayStateEsn>(value);
        long length = Unsafe.SizeOf<XfrmReplayStateEsn>() + (long)state.BitmapLength * sizeof(uint);
        if (value.Length < length)
        {
            return XfrmError.Invalid("ESN attribute is too short");
        }

        if (state.BitmapLength != sa.ReplayBitmapWords)
        {
            return XfrmError.Invalid("New ESN size doesn't match the existing SA's ESN size");
        }

        if (state.ReplayWindow > state.BitmapLength * 32)
        {
            return XfrmError.Invalid("ESN replay window is longer than the bitmap");
        }

        return XfrmError.None;
    }

    private static string? OutputProblem(in XfrmReplayStateEsn state, bool extended)
    {
        if (state.ReplayWindow != 0)
        {
            return "Replay window should be 0 for output SA";
        }

        if ((state.Sequence | state.SequenceHigh) != 0)
        {
            return "Replay seq and seq_hi should be 0 for output SA";
        }

        bool atEnd = state.OutboundSequence == uint.MaxValue;
        return !extended && state.OutboundSequenceHigh != 0 ? "Replay oseq_hi should be 0 in non-ESN mode for output SA"
            : !extended && atEnd ? "Replay oseq should be less than 0xFFFFFFFF in non-ESN mode for output SA"
            : extended && atEnd && state.OutboundSequenceHigh == uint.MaxValue
                ? "Replay oseq and oseq_hi should be less than 0xFFFFFFFF for output SA"
            : state.BitmapLength != 0 ? "Replay bmp_len should 0 for output SA"
            : null;
    }

    private static string? InputProblem(in XfrmReplayStateEsn state, bool extended)
    {
        if ((state.OutboundSequence | state.OutboundSequenceHigh) != 0)
        {
            return "Replay oseq and oseq_hi should be 0 for input SA";
        }

        bool atEnd = state.Sequence == uint.MaxValue;
        return !extended && state.SequenceHigh != 0 ? "Replay seq_hi should be 0 in non-ESN mode for input SA"
            : !extended && atEnd ? "Replay seq should be less than 0xFFFFFFFF in non-ESN mode for input SA"
            : extended && atEnd && state.SequenceHigh == uint.MaxValue
                ? "Replay seq and seq_hi should be less than 0xFFFFFFFF for input SA"
            : null;
    }
}
