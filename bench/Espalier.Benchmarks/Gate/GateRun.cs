using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Espalier.Benchmarks.Gate;

/// <summary>Runs every benchmark at one size, a few operations each, in this process, and asks <see cref="AllocationGate"/>.</summary>
internal static class GateRun
{
    /// <summary>Exit code: 0, or 1 where a benchmark of the hot path allocates or one did not run.</summary>
    internal static int Run(IReadOnlyList<string> options, string artifacts, TextWriter output)
    {
        Workload.IsGate = true;
        var job = Job.Dry.WithToolchain(InProcessEmitToolchain.Instance)
            .WithStrategy(BenchmarkDotNet.Engines.RunStrategy.Throughput)
            .WithWarmupCount(1).WithIterationCount(1).WithInvocationCount(64).WithUnrollFactor(16).WithLaunchCount(1);
        var logger = new AccumulationLogger();
        var config = ManualConfig.CreateEmpty().AddJob(job).AddLogger(logger).AddColumnProvider(DefaultColumnProviders.Instance)
            .WithArtifactsPath(artifacts).WithOptions(ConfigOptions.DisableOptimizationsValidator);
        string[] arguments = options.Count > 0 ? [.. options] : ["--filter", "*"];
        var summaries = BenchmarkSwitcher.FromAssembly(typeof(GateRun).Assembly).Run(arguments, config).ToArray();
        var results = summaries.SelectMany(summary => summary.BenchmarksCases.Select(benchmark => Result(summary, benchmark))).ToArray();
        var failures = AllocationGate.Failures(results);
        foreach (string line in failures)
        {
            output.WriteLine($"gate: {line}");
        }

        if (failures.Count > 0)
        {
            Directory.CreateDirectory(artifacts);
            File.WriteAllText(Path.Combine(artifacts, "gate.log"), logger.GetLog());
            output.WriteLine($"gate: BenchmarkDotNet's log is {Path.Combine(artifacts, "gate.log")}");
            return 1;
        }

        output.WriteLine($"gate: {results.Length} benchmarks ran; {results.Count(result => result.IsHotPath)} are of the hot path and allocate nothing");
        return 0;
    }

    private static GatedResult Result(Summary summary, BenchmarkCase benchmark)
    {
        // BenchmarkDotNet's own text of them is cut short.
        string parameters = string.Join(", ", benchmark.Parameters.Items.Select(item => $"{item.Name}={item.Value}"));
        string name = $"{benchmark.Descriptor.Type.Name}.{benchmark.Descriptor.WorkloadMethod.Name}({parameters})";
        bool isHotPath = AllocationGate.MustNotAllocate(benchmark.Descriptor.Categories, parameters);
        var report = summary[benchmark];
        return report is { Success: true }
            ? new GatedResult(
                name, isHotPath, report.GcStats.GetTotalAllocatedBytes(excludeAllocationQuantumSideEffects: true), report.GcStats.TotalOperations)
            : new GatedResult(name, isHotPath, null, 0);
    }
}
