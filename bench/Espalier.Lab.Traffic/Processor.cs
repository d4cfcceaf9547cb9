using System.Globalization;

namespace Espalier.Lab.Traffic;

/// <summary>Processor time of the whole machine, from /proc/stat.</summary>
internal static class Processor
{
    // proc(5): cpu user nice system idle iowait irq softirq steal guest guest_nice; guest times are within user and nice
    private const int Idle = 3, IoWait = 4, SoftIrq = 6, Steal = 7;

    /// <summary>Ticks until now. Busy is all but idle, waiting and stolen, so it holds interrupts and softirqs.</summary>
    internal static ProcessorTicks Read()
    {
        using var reader = new StreamReader("/proc/stat");
        long[] ticks =
        [
            .. reader.ReadLine()!.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(t => long.Parse(t, CultureInfo.InvariantCulture)),
        ];
        long total = ticks.Sum();
        return new ProcessorTicks(total - ticks[Idle] - ticks[IoWait] - ticks[Steal], ticks[SoftIrq], total);
    }

    /// <summary>Ticks between two readings.</summary>
    internal static ProcessorTicks Since(this ProcessorTicks now, ProcessorTicks then) =>
        new(now.Busy - then.Busy, now.SoftIrq - then.SoftIrq, now.Total - then.Total);
}
