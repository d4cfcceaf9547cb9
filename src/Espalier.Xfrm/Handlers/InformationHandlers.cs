using System.Numerics;
using System.Runtime.InteropServices;
using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>GETSADINFO, GETSPDINFO, NEWSPDINFO, SETDEFAULT and GETDEFAULT.</summary>
internal sealed class InformationHandlers
{
    // xfrm_state_hashmax and xfrm_policy_hashmax.
    private const uint MaximumBuckets = 1 << 20;

    private readonly XfrmContext _context;

    public InformationHandlers(XfrmContext context) => _context = context;

    /// <summary>Number of SAs.</summary>
    public XfrmError GetSadInfo(in XfrmRequest request)
    {
        uint count = (uint)_context.Database.Sad.Count;
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.NewSadInfo, 0, request.Header.Sequence, request.Header.PortId);
        writer.Reserve<uint>() = request.Body<uint>();
        writer.Attribute((XfrmAttribute)XfrmSadAttribute.Count, count);
        ref var hash = ref writer.ReserveAttribute<XfrmSadHashInfo>((XfrmAttribute)XfrmSadAttribute.HashInfo);
        hash.Buckets = Buckets(count);
        hash.MaximumBuckets = MaximumBuckets;
        writer.End();
        _context.Reply(request);
        return XfrmError.None;
    }

    /// <summary>Number of policies by direction, and the thresholds that NEWSPDINFO set.</summary>
    public XfrmError GetSpdInfo(in XfrmRequest request)
    {
        var spd = _context.Database.Spd;
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.NewSpdInfo, 0, request.Header.Sequence, request.Header.PortId);
        writer.Reserve<uint>() = request.Body<uint>();
        ref var info = ref writer.ReserveAttribute<XfrmSpdInfo>((XfrmAttribute)XfrmSpdAttribute.Info);
        info.InCount = (uint)spd.Count(PolicyDirection.In);
        info.OutCount = (uint)spd.Count(PolicyDirection.Out);
        info.ForwardCount = (uint)spd.Count(PolicyDirection.Forward);
        uint total = info.InCount + info.OutCount + info.ForwardCount;
        ref var hash = ref writer.ReserveAttribute<XfrmSpdHashInfo>((XfrmAttribute)XfrmSpdAttribute.HashInfo);
        hash.Buckets = Buckets(total) - 1;
        hash.MaximumBuckets = MaximumBuckets;
        writer.Attribute((XfrmAttribute)XfrmSpdAttribute.IPv4HashThreshold, _context.IPv4Threshold);
        writer.Attribute((XfrmAttribute)XfrmSpdAttribute.IPv6HashThreshold, _context.IPv6Threshold);
        writer.End();
        _context.Reply(request);
        return XfrmError.None;
    }

    /// <summary>Thresholds of the kernel's hash tables.</summary>
    public XfrmError SetSpdInfo(in XfrmRequest request)
    {
        var error = Threshold(request.Attributes.Spd(XfrmSpdAttribute.IPv4HashThreshold), 32, "IPv4", _context.IPv4Threshold, out var four);
        if (error.Failed)
        {
            return error;
        }

        error = Threshold(request.Attributes.Spd(XfrmSpdAttribute.IPv6HashThreshold), 128, "IPv6", _context.IPv6Threshold, out var six);
        if (error.Failed)
        {
            return error;
        }

        _context.IPv4Threshold = four;
        _context.IPv6Threshold = six;
        return XfrmError.None;
    }

    /// <summary>What happens to packets without a policy. Values other than block and accept leave a direction as it is.</summary>
    public XfrmError SetDefault(in XfrmRequest request)
    {
        var wanted = request.Body<XfrmUserPolicyDefault>();
        var blocks = _context.Database.Spd.DefaultBlocks;
        using (_context.Database.Freeze())
        {
            Set(PolicyDirection.In, wanted.In);
            Set(PolicyDirection.Forward, wanted.Forward);
            Set(PolicyDirection.Out, wanted.Out);
        }

        WriteDefault(0, 0);
        _context.Publish(XfrmGroup.Policy);
        return XfrmError.None;

        void Set(PolicyDirection direction, byte value)
        {
            if (value is XfrmValue.DefaultBlock or XfrmValue.DefaultAccept)
            {
                blocks[(int)direction] = value == XfrmValue.DefaultBlock;
            }
        }
    }

    /// <summary>The defaults.</summary>
    public XfrmError GetDefault(in XfrmRequest request)
    {
        WriteDefault(request.Header.Sequence, request.Header.PortId);
        _context.Reply(request);
        return XfrmError.None;
    }

    private void WriteDefault(uint sequence, uint portId)
    {
        var blocks = _context.Database.Spd.DefaultBlocks;
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.GetDefault, 0, sequence, portId);
        ref var defaults = ref writer.Reserve<XfrmUserPolicyDefault>();
        defaults.In = Value(PolicyDirection.In);
        defaults.Forward = Value(PolicyDirection.Forward);
        defaults.Out = Value(PolicyDirection.Out);
        writer.End();

        byte Value(PolicyDirection direction) => blocks[(int)direction] ? XfrmValue.DefaultBlock : XfrmValue.DefaultAccept;
    }

    private static XfrmError Threshold(
        ReadOnlySpan<byte> value, int maximum, string family, XfrmSpdHashThreshold current, out XfrmSpdHashThreshold threshold)
    {
        threshold = current;
        if (value.IsEmpty)
        {
            return XfrmError.None;
        }

        threshold = MemoryMarshal.Read<XfrmSpdHashThreshold>(value);
        return threshold.LocalBits > maximum || threshold.RemoteBits > maximum
            ? XfrmError.Invalid($"Invalid hash threshold (must be <= {maximum} for {family})") : XfrmError.None;
    }

    // Espalier's tables are not the kernel's; this is what the kernel's would have grown to.
    private static uint Buckets(uint count) => Math.Clamp(BitOperations.RoundUpToPowerOf2(count + 1), 8, MaximumBuckets);
}
