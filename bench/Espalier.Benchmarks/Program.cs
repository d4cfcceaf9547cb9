using System.Globalization;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Espalier.Benchmarks.Esp;

// dotnet run -c Release --project bench/Espalier.Benchmarks -- [--short] [BENCHMARKDOTNET'S OPTIONS]
//   --short          three short iterations a benchmark: enough for allocated bytes, not for times
// dotnet run -c Release --project bench/Espalier.Benchmarks -- framing [ROUNDS]
//   what a packet costs above its crypto, engines taking turns
if (args is ["framing", .. var rest])
{
    FramingCost.Run(rest is [var rounds] ? int.Parse(rounds, CultureInfo.InvariantCulture) : 300, Console.Out);
    return 0;
}

bool isShort = args.Contains("--short");
var job = (isShort ? Job.ShortRun : Job.Default).WithToolchain(InProcessEmitToolchain.Instance);
var config = ManualConfig.Create(DefaultConfig.Instance).AddJob(job).AddExporter(JsonExporter.Full);
BenchmarkSwitcher.FromAssembly(typeof(EspBenchmarks).Assembly).Run([.. args.Where(argument => argument != "--short")], config);
return 0;
