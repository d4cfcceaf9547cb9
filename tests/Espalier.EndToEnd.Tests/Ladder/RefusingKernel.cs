using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Ladder;

/// <summary>refuse.c, built once: it runs the daemon under a kernel that refuses rungs of the offload ladder.</summary>
public sealed class RefusingKernel : IDisposable
{
    private readonly TemporaryFolder _folder = new("refuse");
    private readonly Lazy<string> _program;

    /// <summary>Builds nothing yet.</summary>
    public RefusingKernel() => _program = new(Build);

    /// <summary>The words to put before the daemon's; a rule is, for example, <c>UDP_GRO=ENOPROTOOPT</c>.</summary>
    public string[] Launcher(params string[] rules) => [_program.Value, .. rules, "--"];

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    private string Build()
    {
        CompilerFacts.Require();
        string program = _folder.FilePath("refuse");
        string source = Path.Combine(EspalierProgram.Root(), "tests/Espalier.EndToEnd.Tests/Ladder/refuse.c");
        Shell.Run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, source]).Expect();
        return program;
    }
}
