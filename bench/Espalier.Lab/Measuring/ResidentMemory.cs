using System.Diagnostics;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Measuring;

/// <summary>Watches the resident memory of processes from a thread of its own and stops them at a limit, so that the machine survives.</summary>
internal sealed class ResidentMemory : IAsyncDisposable
{
    private static readonly TimeSpan _period = TimeSpan.FromMilliseconds(50);
    private readonly CancellationTokenSource _end = new();
    private readonly List<(double Seconds, double Bytes)> _samples = [];
    private readonly Task _watching;

    /// <summary>Begins. The process ids are asked for each time: a process may end.</summary>
    public ResidentMemory(Func<IEnumerable<int>> processes, long limit, Action stop)
    {
        var clock = Stopwatch.StartNew();
        _watching = Task.Run(async () =>
        {
            using var timer = new PeriodicTimer(_period);
            do
            {
                long largest = processes().Select(id => ProcessMemory.Read(id)?.VmRss ?? 0).DefaultIfEmpty(0).Max() * 1024;
                lock (_samples)
                {
                    _samples.Add((clock.Elapsed.TotalSeconds, largest));
                }

                if (largest > limit && !StoppedAtLimit)
                {
                    StoppedAtLimit = true;
                    stop();
                }
            }
            while (await WaitAsync(timer).ConfigureAwait(false));
        });
    }

    /// <summary>True if the limit was reached.</summary>
    public bool StoppedAtLimit { get; private set; }

    /// <summary>Samples so far: seconds from the start, and bytes of the largest of the processes.</summary>
    public (double[] Seconds, double[] Bytes) Samples
    {
        get
        {
            lock (_samples)
            {
                return ([.. _samples.Select(s => s.Seconds)], [.. _samples.Select(s => s.Bytes)]);
            }
        }
    }

    /// <summary>What the lab lets a subject take: 4 GiB, or half of what the machine has free.</summary>
    public static long Limit => Math.Min(4L << 30, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _watching.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task<bool> WaitAsync(PeriodicTimer timer)
    {
        try
        {
            return await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
