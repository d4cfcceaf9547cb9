using Espalier.Executing;

namespace Espalier.Diagnosis.Checks;

/// <summary>The library that `espalier exec` loads into programs.</summary>
internal static class PreloadCheck
{
    internal static IEnumerable<Finding> Examine(HostView host)
    {
        string? library = PreloadLibrary.Find(host.BaseDirectory);
        yield return library is null
            ? new Finding(
                Severity.Warning, "exec", $"{PreloadLibrary.FileName} is not beside the program: 'espalier exec' does not work",
                "install gcc and make, and build or publish again")
            : PreloadLibrary.CanBePreloaded(library)
                ? new Finding(Severity.Good, "exec", $"{library}")
                : new Finding(Severity.Warning, "exec", $"{library} cannot be preloaded: its path has a space or a colon", "install Espalier elsewhere");
    }
}
