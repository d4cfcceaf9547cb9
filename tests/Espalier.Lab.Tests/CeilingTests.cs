using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>The yardstick in C: it builds without warnings, refuses what is wrong, and carries TCP and UDP through segmentation and back.</summary>
public sealed class CeilingTests : RunTest
{
    private static readonly string _source = Path.Combine(Published.Root, "native/ceiling");
    private static readonly string _program = Path.Combine(Published.Root, "artifacts/native/ceiling/ceiling");

    [Theory]
    [InlineData("--tun", 2)]
    [InlineData("--tun c0 --local 10.0.0.1", 2)]
    [InlineData("--tun c0 --local 10.0.0.1 --peer 10.0.0.2 --crypto rot13", 2)]
    [InlineData("--tun c0 --local nowhere --peer 10.0.0.2", 2)]
    [InlineData("--tun c0 --local 10.0.0.1 --peer 10.0.0.2 --port 70000", 2)]
    [InlineData("--tun c0 --local 10.0.0.1 --peer 10.0.0.2 surplus", 2)]
    [InlineData("--help", 0)]
    public void Ceiling_Options_AreChecked(string arguments, int expected)
    {
        Build();
        Assert.Equal(expected, Command.Try(_program, arguments.Split(' '), 10).ExitCode);
    }

    // Segments whose checksum were wrong would be dropped by the kernel, and no stream would come through.
    [Theory]
    [InlineData("gcm")]
    [InlineData("gcm-plain")]
    public void Ceiling_Tcp_ComesThrough(string variant)
    {
        Build();
        var results = Measure("ceiling:" + variant, "tcp");
        Assert.True(Present(results, "tcp", "ceiling", "four streams both ways").Value > 0);
    }

    private static void Build()
    {
        Requirement.Tool("gcc");
        Requirement.Tool("make");
        Assert.SkipUnless(File.Exists("/usr/include/intel-ipsec-mb.h"), "needs libipsec-mb-dev");
        Command.Run("make", "-s", "-C", _source);
    }
}
