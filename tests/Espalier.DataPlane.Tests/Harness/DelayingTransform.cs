using Espalier.Ipsec.Esp;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>A transform that lets a test hold up a worker between the numbering of a run and its sending.</summary>
internal sealed class DelayingTransform(EspTransform inner, Action<int> delay) : EspTransform(inner.Geometry)
{
    public override bool TrySeal(Span<byte> packet, ulong sequence) => inner.TrySeal(packet, sequence);

    public override bool TryOpen(Span<byte> packet, ulong sequence) => inner.TryOpen(packet, sequence);

    public override void SealBatch(Span<byte> buffer, Span<EspFrame> frames, int worker)
    {
        inner.SealBatch(buffer, frames, worker);
        delay(worker);
    }

    protected override void Dispose(bool disposing) => inner.Dispose();
}
