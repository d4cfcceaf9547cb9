using Espalier.Io.Interop;
using Xunit;

namespace Espalier.Testing;

/// <summary>What a test needs of the machine; a test that lacks it is skipped with the reason.</summary>
public static class Requirement
{
    /// <summary>True where this process is root.</summary>
    public static bool IsRoot => Libc.geteuid() == 0;

    /// <summary>Skips unless this process is root.</summary>
    public static void Root() => Assert.SkipUnless(IsRoot, "needs root");

    /// <summary>Skips unless network namespaces can be made.</summary>
    public static void Namespaces() => Assert.SkipUnless(IsRoot && Find("ip") is not null, "needs root and iproute2, to make network namespaces");

    /// <summary>Skips unless network namespaces and TUN devices can be made.</summary>
    public static void Tun()
    {
        Namespaces();
        Assert.SkipUnless(File.Exists("/dev/net/tun"), "needs /dev/net/tun");
    }

    /// <summary>Skips unless a program is installed.</summary>
    public static void Tool(string name) => Assert.SkipUnless(Find(name) is not null, $"needs {name}");

    /// <summary>The path of a program, looked for in PATH and in the directories of system programs; null = not installed.</summary>
    public static string? Find(string name) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin:/usr/local/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, name)).FirstOrDefault(File.Exists);
}
