using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.Io.Batches;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Outbound;

/// <summary>Seventh stage outbound: runs of frames of one SA go to their transform together, in place (RFC 4303 §3.3.2).</summary>
/// <param name="counters">The worker's.</param>
/// <param name="sealer">The worker's number among those that may seal one SA at once, from 0.</param>
internal sealed class SealStage(WorkerCounters counters, int sealer)
{
    /// <summary>Seals all frames. A frame whose transform failed has its <c>Result</c> set and is counted.</summary>
    public void Seal(PacketBatch batch, FrameList pending)
    {
        var frames = pending.Frames;
        for (int start = 0, end; start < frames.Length; start = end)
        {
            end = pending.EndOfRun(start);

            // Encapsulation let through only SAs that are Valid, and those have a transform.
            pending.Associations[start].Transform!.SealBatch(batch.Buffer, frames[start..end], sealer);
        }

        foreach (ref readonly var frame in frames)
        {
            if (frame.Result != DropReason.None)
            {
                counters.Drop(frame.Result);
            }
        }
    }
}
