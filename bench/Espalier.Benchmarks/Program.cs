using System.Globalization;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Espalier.Benchmarks.Esp;
using Espalier.Benchmarks.Gate;
using Perfolizer.Horology;

[assembly: InternalsVisibleTo("Espalier.Benchmarks.Tests")]

// dotnet run -c Release --project bench/Espalier.Benchmarks -- COMMAND (docs/benchmarks.md)
//   gate [BENCHMARKDOTNET'S OPTIONS]       every benchmark at one size: exit code 1 where the hot path allocates
//   full [BENCHMARKDOTNET'S OPTIONS]       every benchmark at every size: about 40 minutes
//   framing [ROUNDS]                       what a packet costs above its crypto, engines taking turns
//   [--short] [BENCHMARKDOTNET'S OPTIONS]  as chosen; --short = three short iterations a benchmark
string artifacts = Path.Combine("artifacts", "benchmarks");
switch (args)
{
    case ["gate", .. var options]:
        return GateRun.Run(options, artifacts, Console.Out);
    case ["framing"]:
        FramingCost.Run(300, Console.Out);
        return 0;
    case ["framing", var text] when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int rounds) && rounds > 0:
        FramingCost.Run(rounds, Console.Out);
        return 0;
    case ["framing", ..]:
        Console.Error.WriteLine("framing takes a number of rounds, or nothing");
        return 2;
    case [not "full" and [not '-', ..] word, ..]:
        Console.Error.WriteLine($"there is no command '{word}'; there are full, gate and framing, and BenchmarkDotNet's options (docs/benchmarks.md)");
        return 2;
}

bool isFull = args is ["full", ..];
bool isShort = args.Contains("--short");
string[] chosen = [.. args.Skip(isFull ? 1 : 0).Where(argument => argument != "--short")];

// The full job bounds its iterations, as .NET's own benchmarks do (dotnet/performance): by default there are up to a hundred of half a second each, hours in all.
var length = isShort ? Job.ShortRun
    : isFull ? Job.Default.WithWarmupCount(3).WithIterationTime(TimeInterval.FromMilliseconds(200)).WithMinIterationCount(10).WithMaxIterationCount(15)
    : Job.Default;
var job = length.WithToolchain(InProcessEmitToolchain.Instance);

// The default configuration brings the exporter to Markdown; its columns cut a name of 20 letters and more short, so that two algorithms look like one.
var config = ManualConfig.Create(DefaultConfig.Instance).AddJob(job).AddExporter(JsonExporter.Full)
    .WithSummaryStyle(SummaryStyle.Default.WithMaxParameterColumnWidth(40)).WithArtifactsPath(artifacts);
BenchmarkSwitcher.FromAssembly(typeof(EspBenchmarks).Assembly).Run(isFull && chosen.Length == 0 ? ["--filter", "*"] : chosen, config);
return 0;
