using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Outbound;
using Espalier.Io.Batches;

namespace Espalier.DataPlane.Workers;

/// <summary>TUN to outer sockets.</summary>
internal sealed class OutboundWorker : Worker
{
    private const int BatchesAtOnce = 8;

    private static readonly Action<OutboundPipeline, PacketBatch> Process = static (pipeline, batch) => pipeline.Process(batch);

    private readonly ITunnelDevice _tunnel;
    private readonly OutboundPipeline _pipeline;

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
    protected override bool Work(PacketBatch batch)
    {
        for (int i = 0; i < BatchesAtOnce && !IsStopping; i++)
        {
            int count = _tunnel.Receive(batch);
            if (count > 0)
            {
                Handle(Process, _pipeline, batch);
            }

            if (count < batch.Capacity)
            {
                return false;
            }
        }

        return true;
    }
}
