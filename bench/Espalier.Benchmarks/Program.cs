using System.Globalization;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Espalier.Benchmarks.Esp;
using Espalier.Benchmarks.Gate;
using Perfolizer.Horology;

[assembly: InternalsVisibleTo("Espalier.Benchmarks.Tests")]

// dotnet run -c Release --project bench/Espalier.Benchmarks -- COMMAND (docs/benchmarks.md)
//   gate [BENCHMARKDOTNET'S OPTIONS]       every benchmark at one size: exit code 1 where the hot path allocates
//   full [BENCHMARKDOTNET'S OPTIONS]       every benchmark at every size: about an hour
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
    : isFull ? Job.Default.WithWarmupCount(3).WithIterationTime(TimeInterval.FromMilliseconds(250)).WithMinIterationCount(15).WithMaxIterationCount(20)
    : Job.Default;
var job = length.WithToolchain(InProcessEmitToolchain.Instance);
var config = ManualConfig.Create(DefaultConfig.Instance).AddJob(job)
    .AddExporter(JsonExporter.Full, MarkdownExporter.GitHub).WithArtifactsPath(artifacts);
BenchmarkSwitcher.FromAssembly(typeof(EspBenchmarks).Assembly).Run(isFull && chosen.Length == 0 ? ["--filter", "*"] : chosen, config);
return 0;
