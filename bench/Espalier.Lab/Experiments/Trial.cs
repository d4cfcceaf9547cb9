using System.Text.Json.Nodes;
using Espalier.Lab.Measuring;
using Espalier.Lab.Net;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>One subject in one alternation of an experiment: what an experiment works with.</summary>
internal sealed class Trial(ResultFile results, string experiment, int alternation, Subject subject, Testbed bed, CancellationToken cancellation)
{
    /// <summary>How to measure.</summary>
    public LabSettings Settings => results.Settings;

    /// <summary>Number of the alternation, from 0.</summary>
    public int Alternation => alternation;

    /// <summary>What is measured.</summary>
    public Subject Subject => subject;

    /// <summary>The two hosts.</summary>
    public Testbed Bed => bed;

    /// <summary>Traffic between them.</summary>
    public Loads Loads { get; } = new(bed, TimeSpan.FromSeconds(results.Settings.Grace), cancellation);

    /// <summary>What is the same for all measurements of this trial: device, MTU, queues.</summary>
    public JsonObject Setting { get; } = [];

    /// <summary>Busy clock ticks a second of the machine with the subject idle.</summary>
    public double IdleTicks { get; set; }

    /// <summary>Process ids of the subject's daemons.</summary>
    public IEnumerable<int> Processes() => bed.Hosts.Select(subject.ProcessId).OfType<int>();

    /// <summary>Notes a sample.</summary>
    public void Record(string metric, string unit, double sample, params (string Name, JsonNode? Value)[] parameters) =>
        results.Add(experiment, subject.Name, subject.Variant, metric, unit, alternation, sample, Parameters(parameters));

    /// <summary>Notes a series.</summary>
    public void RecordSeries(string metric, string unit, Axis axis, double[] values, params (string Name, JsonNode? Value)[] parameters) =>
        results.SetSeries(experiment, subject.Name, subject.Variant, metric, unit, axis, values, Parameters([.. parameters, ("alternation", alternation)]));

    /// <summary>Notes something that the subject did not do.</summary>
    public void Fail(string message) => results.Failures.Add(new Failure(experiment, subject.Name, subject.Variant, alternation, message));

    /// <summary>Processor seconds for a gigabyte of what a load carried, less what the machine does when idle; and the part that softirqs are.</summary>
    public (double PerGigabyte, double SoftIrqShare) ProcessorCost(Traffic.ProcessorTicks ticks, double seconds, double bytes)
    {
        double busy = Math.Max(0, ticks.Busy - (IdleTicks * seconds));
        return (busy / ProcessorTime.TicksPerSecond / (bytes / 1e9), ticks.Busy > 0 ? (double)ticks.SoftIrq / ticks.Busy : 0);
    }

    /// <summary>Waits until the daemons rest, at most half a minute.</summary>
    public Task<bool> RestAsync() => ProcessorTime.WaitForRestAsync(Processes, TimeSpan.FromSeconds(30), cancellation);

    private JsonObject Parameters((string Name, JsonNode? Value)[] own)
    {
        var all = Setting.DeepClone().AsObject();
        foreach (var (name, value) in own)
        {
            all[name] = value;
        }

        return all;
    }
}
