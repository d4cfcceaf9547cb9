using Espalier.Testing;

[assembly: AssemblyFixture(typeof(Espalier.Native.Tests.PreloadBuild))]

namespace Espalier.Native.Tests;

/// <summary>native/preload, built once for all tests by its own Makefile: the library as it is shipped, and under the sanitizers with its tests.</summary>
public sealed class PreloadBuild
{
    /// <summary>Builds both, or leaves the tests to be skipped.</summary>
    public PreloadBuild()
    {
        if (!HasCompiler)
        {
            return;
        }

        Folder = Path.Combine(Root, "artifacts", "native", "tests");
        Log = Command.Run("make", "-s", "-C", Source, $"OUT={Folder}", "all", "sanitize");
    }

    /// <summary>Top folder of the project.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder of the sources.</summary>
    public static string Source => Path.Combine(Root, "native", "preload");

    /// <summary>True where gcc with its sanitizers, and make, are installed.</summary>
    public static bool HasCompiler => Requirement.Find("gcc") is not null && Requirement.Find("make") is not null && File.Exists("/usr/include/stdio.h");

    /// <summary>Where the results are.</summary>
    public string Folder { get; } = "";

    /// <summary>What the compiler said: nothing, as warnings are errors.</summary>
    public string Log { get; } = "";

    /// <summary>The library as it is shipped.</summary>
    public string Library => Path.Combine(Folder, "libespalier-xfrm.so");

    /// <summary>The library under AddressSanitizer and UndefinedBehaviorSanitizer.</summary>
    public string SanitizedLibrary => Path.Combine(Folder, "libespalier-xfrm-sanitized.so");

    /// <summary>The test program.</summary>
    public string Tests => Path.Combine(Folder, "preload-tests");

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Espalier.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("no Espalier.slnx above the test");
    }
}
