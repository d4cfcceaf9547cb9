using System.Globalization;
using System.Text.Json.Nodes;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;
using Espalier.Lab.Results;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>Short real runs of every experiment, split so that they run side by side. Times and rates are looked at for presence only.</summary>
public sealed class TcpAndMemoryRunTests : RunTest
{
    [Fact]
    public void Run_Tcp_Latency_Memory_Scale_MeasuresBothSubjects()
    {
        var results = Measure(Both, "tcp", "latency", "memory", "scale");
        Assert.All((string[])["direct", "espalier"], subject => Assert.All(
            (string[])["one stream", "four streams both ways", "processor time of one stream"], metric => Present(results, "tcp", subject, metric)));
        Present(results, "latency", "espalier", "idle, 99 %");
        Assert.Equal(1000, (int)Present(results, "latency", "espalier", "idle, 99 %").Parameters["probes"]!);
        Assert.True(Present(results, "memory", "espalier", "idle, peak").Value > 1);
        Assert.Equal(
            ["idle", "TCP", "UDP flood, 64 B", "UDP flood, 1300 B", "afterwards"],
            Present(results, "memory", "espalier", "over time").Parameters["phases"]!.AsArray().Select(phase => (string)phase!["name"]!));
        Present(results, "scale", "espalier", "10 SAs, TCP one stream");
        Assert.NotNull(Present(results, "tcp", "espalier", "one stream").Parameters["receiveBuffers"]);
    }
}

public sealed class UdpRunTests : RunTest
{
    [Fact]
    public void Run_Udp_FindsRatesForBothSubjects()
    {
        var results = Measure(Both, "udp");
        Assert.All((string[])["direct", "espalier"], subject => Assert.All(
            (string[])["64 B, zero loss", "64 B, 0.1 % loss", "64 B, strictly zero loss", "64 B, flood offered", "1300 B, flood arrives"],
            metric => Present(results, "udp", subject, metric)));
    }
}

public sealed class ClaimRunTests : RunTest
{
    [Fact]
    public void Run_Buffering_Oom_Lockup_Surface_MeasuresTheDaemon()
    {
        var results = Measure(Both, "buffering", "oom", "lockup", "surface");
        Present(results, "buffering", "espalier", "outbound, allocator calls");
        Present(results, "buffering", "espalier", "memory against offered load");
        Present(results, "oom", "espalier", "64 MiB, 100 %: until the OOM killer");
        Present(results, "lockup", "direct", "flood, delay 99 %");
        Present(results, "surface", "espalier", "kinds of system calls under load");
    }
}

public sealed class OtherTunnelsRunTests : RunTest
{
    private const string WireguardFolder = "/var/run/wireguard";

    [Fact]
    public void Run_Tcp_MeasuresWhatEspalierIsComparedWith()
    {
        Requirement.Tool("openvpn");
        Requirement.Tool("wireguard-go");
        Requirement.Tool("wg");

        // As on a machine on which wireguard-go has never run.
        if (Directory.Exists(WireguardFolder) && !Directory.EnumerateFileSystemEntries(WireguardFolder).Any())
        {
            Directory.Delete(WireguardFolder);
        }

        var results = Measure("libipsec,openvpn,wireguard-go,ceiling:gcm", "tcp");
        Assert.Empty(results.Failures);
        Assert.Empty(results.Missing);
        Assert.All((string[])["libipsec", "openvpn", "wireguard-go", "ceiling"], subject => Present(results, "tcp", subject, "one stream"));
    }
}

/// <summary>Tests of what a lab leaves behind run alone: any lab that starts removes the leftovers of dead ones, and says so itself.</summary>
[CollectionDefinition(nameof(LeftoversCollection), DisableParallelization = true)]
public sealed class LeftoversCollection;

[Collection(nameof(LeftoversCollection))]
public sealed class InterruptedRunTests
{
    [Fact]
    public void Run_Interrupted_RemovesAllItMade()
    {
        LabProgram.Need();
        using var lab = LabProgram.Start("run", "tcp", "--subjects", "espalier:system", "--seconds", "5", "--no-publish", "--socket-buffer", "0", "--beside");
        string stem = $"{Leftovers.Stem}{lab.Id}-";
        Assert.True(SpinWait.SpinUntil(() => Directory.Exists("/run/netns") && Directory.EnumerateFiles("/run/netns", stem + "*").Count() == 2, TimeSpan.FromSeconds(20)));
        Command.Run("sh", "-c", $"kill -INT {lab.Id}");
        Assert.True(lab.WaitForExit(TimeSpan.FromSeconds(30)));
        Assert.Equal(130, lab.ExitCode);
        Assert.Empty(Directory.EnumerateFiles("/run/netns", stem + "*"));
        Assert.Empty(Directory.EnumerateDirectories(Path.GetTempPath(), stem + "*"));
    }

    // The alternations of all experiments share the run, so what is there when it is stopped is some of each.
    [Theory]
    [InlineData("INT")]
    [InlineData("KILL")]
    public void Run_FullStopped_ResumeGoesOnWhereItWas(string signal)
    {
        LabProgram.Need();
        string json = Path.Combine(Directory.CreateTempSubdirectory("espalier-lab-resume").FullName, "results.json");
        using var lab = LabProgram.Start(
            "run", "tcp", "udp", "--full", "--repeat", "2", "--seconds", "0.2", "--subjects", "direct", "--seed", "1", "--no-publish", "--socket-buffer", "0", "--beside", "--json", json);
        Assert.True(SpinWait.SpinUntil(() => File.Exists(json) && ResultFile.Read(json).Done.Count > 0, TimeSpan.FromSeconds(60)));
        Command.Run("sh", "-c", $"kill -{signal} {lab.Id}");
        Assert.True(lab.WaitForExit(TimeSpan.FromSeconds(30)));
        var before = ResultFile.Read(json);
        string[] all = ["tcp/0/direct", "udp/0/direct", "tcp/1/direct", "udp/1/direct"];
        Assert.InRange(before.Done.Count, 1, all.Length - 1);
        Assert.Equal(all[..before.Done.Count], before.Done);

        var (code, output, error) = LabProgram.Run("run", "--resume", json, "--no-publish", "--beside");
        Assert.True(code == 0, output + error);
        var after = ResultFile.Read(json);
        Assert.Equal(all, after.Done);
        Assert.Equal(before.Find("tcp", "direct", "", "one stream")!.Samples[0], after.Find("tcp", "direct", "", "one stream")!.Samples[0]);
        Assert.All(
            ((string, string)[])[("tcp", "one stream"), ("udp", "64 B, zero loss"), ("udp", "1300 B, flood arrives")],
            metric => Assert.Equal(2, after.Find(metric.Item1, "direct", "", metric.Item2)!.Present.Length));
        Directory.Delete(Path.GetDirectoryName(json)!, recursive: true);
    }

    [Fact]
    public void Run_AfterAKilledLab_RemovesWhatThatLeft()
    {
        LabProgram.Need();
        int dead = DeadProcess();
        string space = $"{Leftovers.Stem}{dead}-1-moon";
        string folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"{Leftovers.Stem}{dead}-1")).FullName;
        Command.Run("ip", "netns", "add", space);
        using var inside = System.Diagnostics.Process.Start("ip", ["netns", "exec", space, "sleep", "60"]);
        var (code, output, error) = LabProgram.Run("run", "tcp", "--subjects", "direct", "--seconds", "0.2", "--repeat", "1", "--no-publish", "--socket-buffer", "0", "--beside");
        Assert.True(code == 0, output + error);
        Assert.Contains($"namespace {space}", error, StringComparison.Ordinal);
        Assert.False(File.Exists($"/run/netns/{space}"));
        Assert.False(Directory.Exists(folder));
        Assert.True(inside.WaitForExit(TimeSpan.FromSeconds(5)));
    }

    // The lock is the machine's: where a lab measures now it holds the lock instead of this test.
    [Fact]
    public void Run_AnotherLabMeasures_IsOneLine()
    {
        LabProgram.Need();
        using var held = TryLock();
        var (code, _, error) = LabProgram.Run("run", "tcp", "--subjects", "direct", "--seconds", "0.2", "--no-publish");
        Assert.Equal(1, code);
        Assert.StartsWith("espalier-lab: another lab is measuring", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ResumedOnAnotherMachine_IsOneLine()
    {
        LabProgram.Need();
        using var folder = new TemporaryFolder("resume");
        string json = folder.FilePath("results.json");
        string[] run = ["tcp", "--subjects", "direct", "--seconds", "0.2", "--repeat", "1", "--no-publish", "--socket-buffer", "0", "--beside", "--json", json];
        Assert.Equal(0, LabProgram.Run(["run", .. run]).ExitCode);
        var file = ResultFile.Read(json);
        file.Machine["cpu"] = "another one";
        file.Write(json);

        var (code, _, error) = LabProgram.Run("run", "--resume", json, "--no-publish", "--beside");

        Assert.Equal(1, code);
        Assert.Contains("cpu: another one | ", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ResumedWithoutASubject_IsOneLineMore()
    {
        LabProgram.Need();
        using var folder = new TemporaryFolder("resume");
        string json = folder.FilePath("results.json");
        var file = Samples.Empty();
        file.Subjects.Clear();
        file.Subjects.AddRange(["direct", "espalier:nosuch"]);
        file.Write(json);
        var written = JsonNode.Parse(File.ReadAllText(json))!;
        written["settings"]!["socketBuffer"] = 0;
        File.WriteAllText(json, written.ToJsonString());

        var (code, _, error) = LabProgram.Run("run", "--resume", json, "--no-publish", "--beside");

        Assert.Equal(1, code);
        string[] lines = error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("espalier-lab: without espalier:nosuch: ", lines[0], StringComparison.Ordinal);
        Assert.EndsWith("is with espalier:nosuch, which is not here any more", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Run_FullWithoutAFile_NamesOneItself()
    {
        LabProgram.Need();
        using var folder = new TemporaryFolder("full");
        var result = Command.Try("/bin/sh", ["-c", $"cd {folder.FilePath(".")} && exec {LabProgram.Path} run tcp --full --repeat 1 --seconds 0.2 --subjects direct --seed 7 --no-publish --socket-buffer 0 --beside"]);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        string file = Assert.Single(Directory.GetFiles(folder.FilePath("."), "lab-*-7.json"));
        Assert.Contains($"Results, after each turn: {Path.GetFileName(file)}", result.Output, StringComparison.Ordinal);
        Assert.Equal(["tcp/0/direct"], ResultFile.Read(file).Done);
    }

    [Fact]
    public void IsOrphan_Names_AreOursOfTheDeadOnly()
    {
        Assert.True(Leftovers.IsOrphan($"{Leftovers.Stem}{DeadProcess()}-1-moon"));
        Assert.True(Leftovers.IsOrphan(string.Create(CultureInfo.InvariantCulture, $"{Leftovers.Stem}1-1-sun"))); // init is alive, and no lab
        Assert.False(Leftovers.IsOrphan("moon"));
        Assert.False(Leftovers.IsOrphan(Leftovers.Stem + "user-1"));
    }

    private static IDisposable? TryLock()
    {
        try
        {
            return LabLock.Take(beside: false);
        }
        catch (LabException)
        {
            return null;
        }
    }

    private static int DeadProcess()
    {
        using var process = System.Diagnostics.Process.Start("true");
        process.WaitForExit();
        return process.Id;
    }
}

/// <summary>What the short runs share.</summary>
public abstract class RunTest : IDisposable
{
    private protected const string Both = "direct,espalier:system";

    private readonly string _folder = Directory.CreateTempSubdirectory("espalier-lab-run").FullName;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    private protected ResultFile Measure(string subjects, params string[] experiments)
    {
        LabProgram.Need();
        string json = Path.Combine(_folder, "results.json");
        var (code, output, error) = LabProgram.Run(
            ["run", .. experiments, "--subjects", subjects, "--seconds", "0.2", "--repeat", "1", "--no-publish", "--socket-buffer", "0", "--beside", "--seed", "1",
                "--json", json, "--report", Path.Combine(_folder, "report")]);
        Assert.True(code == 0, output + error);
        Assert.True(File.Exists(Path.Combine(_folder, "report", "report.html")));
        string schema = File.ReadAllText(Path.Combine(Published.Root, "docs/lab-results.schema.json"));
        Assert.Empty(JsonSchema.Validate(JsonNode.Parse(schema)!.AsObject(), JsonNode.Parse(File.ReadAllText(json))));
        return ResultFile.Read(json);
    }

    private protected static Measurement Present(ResultFile results, string experiment, string subject, string metric)
    {
        var found = results.Measurements.Find(m => m.Experiment == experiment && m.Subject == subject && m.Metric == metric);
        Assert.True(found?.Present.Length > 0, $"{experiment} of {subject} has no {metric}");
        return found;
    }
}
