using System.Text.RegularExpressions;
using Espalier.Testing;

namespace Espalier.Native.Tests;

/// <summary>
/// The preload library in programs that use XFRM sockets in every way its contract names: each case is a function of native/preload/tests, run in a
/// process of its own under AddressSanitizer and UndefinedBehaviorSanitizer, against a data plane that the program brings along.
/// </summary>
public sealed partial class PreloadLibraryTests(PreloadBuild build)
{
    /// <summary>The cases, as the tables of these sources list them.</summary>
    public static TheoryData<string> Cases { get; } =
        [.. Directory.GetFiles(Path.Combine(PreloadBuild.Source, "tests"), "*.c").Order(StringComparer.Ordinal)
            .SelectMany(file => TestName().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Preload_UnderSanitizers_Passes(string name)
    {
        Need();
        string runtimes = $"{Runtime("libasan.so")} {Runtime("libubsan.so")}";

        var result = Command.Try("env", [$"LD_PRELOAD={runtimes} {build.SanitizedLibrary}", build.Tests, name]);

        Assert.True(result.ExitCode == 0 && result.Output.Trim() == $"passed {name}", $"exit code {result.ExitCode}: {result.Output}{result.Error}");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Preload_AsShipped_Passes(string name)
    {
        Need();
        // The test program has the sanitizers built in, so their runtime must come first here, too.
        var result = Command.Try("env", [$"LD_PRELOAD={Runtime("libasan.so")} {build.Library}", build.Tests, name]);

        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}: {result.Output}{result.Error}");
    }

    [Fact]
    public void Preload_Built_HasNoWarning()
    {
        Need();
        Assert.Equal("", build.Log.Trim());
    }

    [Fact]
    public void Preload_Exports_OnlyTheCallsOfItsContract()
    {
        Need();
        Requirement.Tool("nm");
        string[] expected =
        [
            "__read_chk", "__recv_chk", "__recvfrom_chk", "bind", "close", "close_range", "closefrom", "connect", "dup", "dup2", "dup3", "fcntl",
            "fcntl64", "getpeername", "getsockname", "getsockopt", "read", "readv", "recv", "recvfrom", "recvmmsg", "recvmsg", "send", "sendmmsg", "sendmsg",
            "sendto", "setsockopt", "socket", "write", "writev",
        ];

        string[] exported = [.. Command.Run("nm", "-D", "--defined-only", build.Library).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ')[^1].Split('@')[0]).Order(StringComparer.Ordinal)];

        Assert.Equal(expected, exported);
    }

    private static void Need() => Assert.SkipUnless(PreloadBuild.HasCompiler, "needs gcc, make and the C library's headers");

    private static string Runtime(string name) => Command.Run("gcc", $"-print-file-name={name}").Trim();

    [GeneratedRegex(@"\bTEST\((\w+)\),")]
    private static partial Regex TestName();
}
