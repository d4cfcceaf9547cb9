using Xunit;

namespace Espalier.Testing;

/// <summary>What an end-to-end test needs of the machine; tests/run installs and publishes all of it.</summary>
public static class Requirements
{
    /// <summary>Root, /dev/net/tun, the published daemon and the named programs.</summary>
    public static void Need(params string[] programs)
    {
        Requirement.Tun();
        Assert.SkipUnless(File.Exists(EspalierProgram.Path), $"needs the published daemon: dotnet publish src/Espalier -c Release ({EspalierProgram.Path})");
        foreach (string program in programs)
        {
            Requirement.Tool(program);
        }
    }
}
