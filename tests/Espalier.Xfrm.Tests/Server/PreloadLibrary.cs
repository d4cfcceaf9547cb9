using Espalier.Testing;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>The preload library of native/preload, built once for these tests.</summary>
internal static class PreloadLibrary
{
    private static readonly Lazy<string> Built = new(Build);

    /// <summary>Its path; skips where it cannot be built.</summary>
    public static string Path
    {
        get
        {
            CompilerFacts.Require();
            Requirement.Tool("make");
            return Built.Value;
        }
    }

    /// <summary>Arguments for `env` that make a program an XFRM client of a control socket.</summary>
    public static string[] Environment(string control) => [$"ESPALIER_CONTROL={control}", $"LD_PRELOAD={Path}"];

    private static string Build()
    {
        string sources = System.IO.Path.Combine(AppContext.BaseDirectory, "preload");
        string output = System.IO.Path.Combine(sources, "built");
        Command.Run("make", "-C", sources, $"OUT={output}");
        return System.IO.Path.Combine(output, "libespalier-xfrm.so");
    }
}
