using Espalier.DataPlane.Batches;
using Espalier.Io.Batches;

namespace Espalier.DataPlane.Inbound;

/// <summary>Second stage inbound: runs of frames of one SA go to their transform together, in place (RFC 4303 §3.4.4).</summary>
internal static class OpenStage
{
    /// <summary>Opens all frames; each frame's <c>Result</c> says whether its ICV was right.</summary>
    public static void Open(PacketBatch batch, FrameList arrived)
    {
        var frames = arrived.Frames;
        for (int start = 0, end; start < frames.Length; start = end)
        {
            end = arrived.EndOfRun(start);

            // The arrival stage let through only SAs that are Valid, and those have a transform.
            arrived.Associations[start].Transform!.OpenBatch(batch.Buffer, frames[start..end]);
        }
    }
}
