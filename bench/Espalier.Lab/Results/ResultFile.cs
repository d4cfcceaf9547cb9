using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Results;

/// <summary>What the x values of a series are.</summary>
internal sealed record Axis(string Name, string Unit, double[] Values);

/// <summary>One measured quantity of one subject; a sample an alternation, null where it failed. A series has an axis, and a sample each of its values.</summary>
internal sealed record Measurement(
    string Experiment, string Subject, string Variant, string Metric, string Unit, double? Value, List<double?> Samples,
    JsonObject Parameters, Axis? Axis = null)
{
    /// <summary>Subject and variant.</summary>
    [JsonIgnore]
    public string Label => Variant.Length == 0 ? Subject : $"{Subject}:{Variant}";

    /// <summary>Which of the files it is from, where several make one report.</summary>
    [JsonIgnore]
    public int Run { get; init; }

    /// <summary>This over another, turn by turn; none of two different runs, whose turns have nothing in common.</summary>
    public double[] Over(Measurement? other) => other is null || other.Run != Run ? [] : Measuring.SampleStatistics.PairedRatios(Samples, other.Samples);

    /// <summary>True if the generator ended a search before the subject did, in a turn at least: the value is then what the subject carries at least.</summary>
    [JsonIgnore]
    public bool IsAtLeast => Parameters["generatorLimited"]?.GetValueKind() == JsonValueKind.True;

    /// <summary>That, as a sign before the value; else empty.</summary>
    [JsonIgnore]
    public string Bound => IsAtLeast ? "≥ " : "";

    /// <summary>The same of the ratio to another; where both are bounds, it is no more than near.</summary>
    public string BoundOver(Measurement? other) => (IsAtLeast, other?.IsAtLeast == true) switch
    {
        (true, true) => "≈ ",
        (true, false) => "≥ ",
        (false, true) => "≤ ",
        _ => "",
    };

    /// <summary>Samples that are there.</summary>
    [JsonIgnore]
    public double[] Present => [.. Samples.OfType<double>()];
}

/// <summary>Something that a subject did not do.</summary>
internal sealed record Failure(string Experiment, string Subject, string Variant, int Alternation, string Message)
{
    /// <summary>Subject and variant.</summary>
    [JsonIgnore]
    public string Label => Variant.Length == 0 ? Subject : $"{Subject}:{Variant}";
}

/// <summary>A subject that is not on this machine.</summary>
internal sealed record MissingSubject(string Subject, string Message);

/// <summary>A run's results: docs/lab-results.schema.json describes the file.</summary>
internal sealed class ResultFile
{
    /// <summary>Version of the file's format.</summary>
    public const int CurrentVersion = 3;

    /// <summary>The oldest version that is still read; what it lacks is computed from its samples.</summary>
    private const int OldestVersion = 1;

    private static readonly JsonSerializerOptions _options = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Format.</summary>
    public int Version { get; set; } = CurrentVersion;

    /// <summary>When the run began, UTC.</summary>
    public DateTime Started { get; init; }

    /// <summary>Kernel, processors, memory, versions.</summary>
    public required JsonObject Machine { get; init; }

    /// <summary>Seed of all that was drawn.</summary>
    public required int Seed { get; init; }

    /// <summary>How it was measured.</summary>
    public required LabSettings Settings { get; init; }

    /// <summary>The experiments asked for.</summary>
    public List<string> Experiments { get; init; } = [];

    /// <summary>The subjects measured, name and variant.</summary>
    public List<string> Subjects { get; init; } = [];

    /// <summary>What was measured.</summary>
    public List<Measurement> Measurements { get; init; } = [];

    /// <summary>Ratios to libipsec with their intervals, computed from the measurements when the run ends.</summary>
    public List<Ratio> Ratios { get; } = [];

    /// <summary>What did not work.</summary>
    public List<Failure> Failures { get; init; } = [];

    /// <summary>Subjects that are not here.</summary>
    public List<MissingSubject> Missing { get; init; } = [];

    /// <summary>Cells that are done: experiment/alternation/subject. A run that is resumed leaves them out.</summary>
    public List<string> Done { get; init; } = [];

    /// <summary>The files that this was put together from; empty if it is one.</summary>
    [JsonIgnore]
    public IReadOnlyList<ResultFile> Parts { get; init; } = [];

    /// <summary>Reads a file.</summary>
    public static ResultFile Read(string path)
    {
        try
        {
            var file = JsonSerializer.Deserialize<ResultFile>(File.ReadAllText(path), _options);
            if (file is not { Version: >= OldestVersion and <= CurrentVersion })
            {
                throw new LabException($"{path} has version {file?.Version} of the format; this lab reads {OldestVersion} to {CurrentVersion}");
            }

            file.Version = CurrentVersion; // as which it is written again
            return file;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LabException($"{path} cannot be read: {exception.Message}", exception);
        }
        catch (JsonException exception)
        {
            throw new LabException($"{path} is no result file of the lab: {exception.Message}", exception);
        }
    }

    /// <summary>Writes it, whole or not at all.</summary>
    public void Write(string path)
    {
        File.WriteAllText(path + ".new", JsonSerializer.Serialize(this, _options));
        File.Move(path + ".new", path, overwrite: true);
    }

    /// <summary>Computes the ratios anew from the measurements; without them while a run adds samples.</summary>
    public void SetRatios(bool known)
    {
        Ratios.Clear();
        Ratios.AddRange(known ? Ratio.Of(this) : []);
    }

    /// <summary>Adds a sample of a quantity.</summary>
    public void Add(string experiment, string subject, string variant, string metric, string unit, int alternation, double sample, JsonObject parameters)
    {
        var found = Find(experiment, subject, variant, metric);
        var samples = found?.Samples ?? [];
        while (samples.Count <= alternation)
        {
            samples.Add(null);
        }

        samples[alternation] = sample;
        if (found?.IsAtLeast == true)
        {
            parameters["generatorLimited"] = true; // of one turn is of their median
        }

        Put(found, new Measurement(experiment, subject, variant, metric, unit, Measuring.SampleStatistics.Median([.. samples.OfType<double>()]), samples, parameters));
    }

    /// <summary>Takes out what a turn that did not end left: done again, it may fail sooner.</summary>
    public void Forget(string experiment, string subject, string variant, int alternation)
    {
        Failures.RemoveAll(f => f.Experiment == experiment && f.Subject == subject && f.Variant == variant && f.Alternation == alternation);
        foreach (var old in Measurements.Where(m => m.Experiment == experiment && m.Subject == subject && m.Variant == variant && m.Axis is null && m.Samples.Count > alternation).ToArray())
        {
            old.Samples[alternation] = null;
            if (old.Present is { Length: > 0 } present)
            {
                Put(old, old with { Value = Measuring.SampleStatistics.Median(present) });
            }
            else
            {
                Measurements.Remove(old);
            }
        }
    }

    /// <summary>Sets a series; a later alternation's takes the place of an earlier one's.</summary>
    public void SetSeries(string experiment, string subject, string variant, string metric, string unit, Axis axis, double[] values, JsonObject parameters) =>
        Put(
            Find(experiment, subject, variant, metric),
            new Measurement(experiment, subject, variant, metric, unit, null, [.. values.Select(v => (double?)v)], parameters, axis));

    /// <summary>A measurement, if there is one.</summary>
    public Measurement? Find(string experiment, string subject, string variant, string metric) =>
        Measurements.Find(m => m.Experiment == experiment && m.Subject == subject && m.Variant == variant && m.Metric == metric);

    private void Put(Measurement? old, Measurement now)
    {
        if (old is null)
        {
            Measurements.Add(now);
        }
        else
        {
            Measurements[Measurements.IndexOf(old)] = now;
        }
    }
}
