using System.Security.Cryptography;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// The transform that an SA holds. Libraries keep state in their cipher objects, so each direction has one of its own, made when
/// its first packet comes: one worker may seal while another opens, and an SA that is used in one direction, as nearly all are,
/// pays for one.
/// </summary>
internal sealed class DuplexTransform : EspTransform
{
    private readonly TransformRecipe _recipe;
    private readonly IvEntropy _entropy;
    private EspTransform? _sealer; // Owned by the thread that seals.
    private EspTransform? _opener; // Owned by the thread that opens.
    private bool _disposed;

    /// <summary>Takes the ownership of <paramref name="recipe"/>.</summary>
    public DuplexTransform(TransformRecipe recipe, EspGeometry geometry, IvEntropy entropy)
        : base(geometry)
    {
        _recipe = recipe;
        _entropy = entropy;
    }

    public override bool TrySeal(Span<byte> packet, ulong sequence) =>
        (_sealer ?? Make(ref _sealer, TransformDirection.Seal)) is { } sealer && sealer.TrySeal(packet, sequence);

    public override bool TryOpen(Span<byte> packet, ulong sequence) =>
        (_opener ?? Make(ref _opener, TransformDirection.Open)) is { } opener && opener.TryOpen(packet, sequence);

    public override void SealBatch(Span<byte> buffer, Span<EspFrame> frames)
    {
        if ((_sealer ?? Make(ref _sealer, TransformDirection.Seal)) is { } sealer)
        {
            sealer.SealBatch(buffer, frames);
            return;
        }

        foreach (ref var frame in frames)
        {
            frame.Result = DropReason.OutboundTransformFailure;
        }
    }

    public override void OpenBatch(Span<byte> buffer, Span<EspFrame> frames)
    {
        if ((_opener ?? Make(ref _opener, TransformDirection.Open)) is { } opener)
        {
            opener.OpenBatch(buffer, frames);
            return;
        }

        foreach (ref var frame in frames)
        {
            frame.Result = DropReason.InboundIntegrityFailure;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (!disposing || _disposed)
        {
            return;
        }

        _disposed = true;
        _sealer?.Dispose();
        _sealer = null;
        _opener?.Dispose();
        _opener = null;
        _recipe.Dispose();
    }

    /// <summary>Once for a direction. Null if the transform is disposed or the library refuses: the packet is then dropped.</summary>
    private EspTransform? Make(ref EspTransform? place, TransformDirection direction)
    {
        if (_disposed)
        {
            return null;
        }

        try
        {
            return place = _recipe.Create(direction, _entropy);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}
