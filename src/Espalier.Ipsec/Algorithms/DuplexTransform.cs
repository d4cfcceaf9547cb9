using System.Security.Cryptography;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// The transform that an SA holds. Libraries keep state in their cipher objects, so each direction has one of its own, made when
/// its first packet comes: one worker may seal while another opens, and an SA that is used in one direction, as nearly all are,
/// pays for one. Where several workers seal at once, each has one of its own; their counter IVs have one salt.
/// </summary>
internal sealed class DuplexTransform : EspTransform
{
    private readonly TransformRecipe _recipe;
    private readonly IvEntropy _entropy;
    private readonly Lock _making = new();
    private volatile EspTransform?[] _sealers = []; // Entry i is made and used by worker i; where one seals at a time, by worker 0.
    private EspTransform? _opener; // Owned by the thread that opens.
    private bool _disposed;

    /// <summary>Takes the ownership of <paramref name="recipe"/>.</summary>
    public DuplexTransform(TransformRecipe recipe, EspGeometry geometry, IvEntropy entropy)
        : base(geometry)
    {
        _recipe = recipe;
        _entropy = entropy.OfOneSa();
    }

    public override bool TrySeal(Span<byte> packet, ulong sequence) =>
        SealerOf(0) is { } sealer && sealer.TrySeal(packet, sequence);

    public override bool TryOpen(Span<byte> packet, ulong sequence) =>
        (_opener ?? Make(ref _opener, TransformDirection.Open)) is { } opener && opener.TryOpen(packet, sequence);

    public override void SealBatch(Span<byte> buffer, Span<EspFrame> frames) => SealBatch(buffer, frames, 0);

    public override void SealBatch(Span<byte> buffer, Span<EspFrame> frames, int worker)
    {
        if (SealerOf(worker) is { } sealer)
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
        foreach (var sealer in _sealers)
        {
            sealer?.Dispose();
        }

        _sealers = [];
        _opener?.Dispose();
        _opener = null;
        _recipe.Dispose();
    }

    private EspTransform? SealerOf(int worker)
    {
        var sealers = _sealers;
        return worker < sealers.Length && sealers[worker] is { } sealer ? sealer : AddSealer(worker);
    }

    private EspTransform? AddSealer(int worker)
    {
        lock (_making)
        {
            // A copy, as other workers read theirs from the array that is there.
            var sealers = new EspTransform?[Math.Max(worker + 1, _sealers.Length)];
            _sealers.CopyTo(sealers, 0);
            var made = Make(ref sealers[worker], TransformDirection.Seal);
            if (made is not null)
            {
                _sealers = sealers;
            }

            return made;
        }
    }

    /// <summary>Once for a direction, and worker that seals. Null if the transform is disposed or the library refuses: the packet is then dropped.</summary>
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
