using System.Security.Cryptography;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// The transform that an SA holds. Libraries keep state in their cipher objects, so each direction has one of its own, made when
/// its first packet comes: one worker may seal while another opens, and an SA that is used in one direction, as nearly all are,
/// pays for one. The first is made at once, which proves that the libraries take the keys.
/// </summary>
internal sealed class DuplexTransform : EspTransform
{
    private readonly TransformRecipe _recipe;
    private readonly IvEntropy _entropy;
    private EspTransform? _unclaimed;
    private EspTransform? _sealer; // Owned by the thread that seals.
    private EspTransform? _opener; // Owned by the thread that opens.
    private bool _disposed;

    /// <summary>Takes the ownership of <paramref name="recipe"/> and of <paramref name="first"/>, which was made from it.</summary>
    public DuplexTransform(TransformRecipe recipe, EspTransform first, IvEntropy entropy)
        : base(first.Geometry)
    {
        _recipe = recipe;
        _unclaimed = first;
        _entropy = entropy;
    }

    public override bool TrySeal(Span<byte> packet, ulong sequence) =>
        (_sealer ?? Claim(ref _sealer)) is { } sealer && sealer.TrySeal(packet, sequence);

    public override bool TryOpen(Span<byte> packet, ulong sequence) =>
        (_opener ?? Claim(ref _opener)) is { } opener && opener.TryOpen(packet, sequence);

    public override void SealBatch(Span<byte> buffer, Span<EspFrame> frames)
    {
        if ((_sealer ?? Claim(ref _sealer)) is { } sealer)
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
        if ((_opener ?? Claim(ref _opener)) is { } opener)
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
        Interlocked.Exchange(ref _unclaimed, null)?.Dispose();
        Interlocked.Exchange(ref _sealer, null)?.Dispose();
        Interlocked.Exchange(ref _opener, null)?.Dispose();
        _recipe.Dispose();
    }

    /// <summary>Once for a direction. Null if the transform is disposed or the library refuses: the packet is then dropped.</summary>
    private EspTransform? Claim(ref EspTransform? direction)
    {
        if (_disposed)
        {
            return null;
        }

        try
        {
            return direction = Interlocked.Exchange(ref _unclaimed, null) ?? _recipe.Create(_entropy);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}
