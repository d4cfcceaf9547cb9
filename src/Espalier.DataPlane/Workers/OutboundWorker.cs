using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Outbound;
using Espalier.Io.Batches;
using Espalier.Io.Polling;

namespace Espalier.DataPlane.Workers;

/// <summary>
/// TUN to outer sockets. When the TUN is empty after many single packets, more are on their way: it rests before it waits for them, so that it is not woken
/// for each, and what the kernel does once for a message is done for more of them. After super-packets, and after few packets, it does not.
/// </summary>
internal sealed class OutboundWorker : Worker
{
    private const int BatchesAtOnce = 8;
    private const int ReadsBeforeRest = 8;
    private const int RestMicroseconds = 100;

    private static readonly Action<OutboundPipeline, PacketBatch> Process = static (pipeline, batch) => pipeline.Process(batch);

    private readonly ITunnelDevice _tunnel;
    private readonly OutboundPipeline _pipeline;
    private int _reads;

    /// <summary>Creates it.</summary>
    public OutboundWorker(string name, PipelineEnvironment environment, WorkerCounters counters)
        : base(name, environment.Database, environment.Pool, counters)
    {
        _tunnel = environment.Devices.Reader;
        _pipeline = new OutboundPipeline(environment, counters);
        if (_tunnel.PollDescriptor >= 0)
        {
            Poller.Add(_tunnel.PollDescriptor, 0);
        }
        else
        {
            HasMemoryDevice = true;
        }
    }

    /// <inheritdoc/>
    protected override void Wait(int timeoutMilliseconds) => Poller.Wait(timeoutMilliseconds);

    /// <inheritdoc/>
    protected override void GiveWay()
    {
        if (_reads >= ReadsBeforeRest)
        {
            Poller.Rest(RestMicroseconds);
        }
        else
        {
            base.GiveWay();
        }
    }

    /// <inheritdoc/>
    protected override bool Work(PacketBatch batch)
    {
        _reads = 0;
        for (int i = 0; i < BatchesAtOnce && !IsStopping; i++)
        {
            batch.SegmentLimit = _pipeline.SegmentsAtOnce;
            batch.Spacing = _pipeline.Spacing;
            int count = _tunnel.Receive(batch);
            _reads += batch.Reads;
            if (count > 0)
            {
                Handle(Process, _pipeline, batch);
            }

            if (count < batch.SegmentLimit)
            {
                return false;
            }
        }

        return true;
    }
}
