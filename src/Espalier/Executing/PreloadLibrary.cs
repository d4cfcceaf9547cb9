namespace Espalier.Executing;

/// <summary>Where libespalier-xfrm.so is, and how it gets into a program.</summary>
internal static class PreloadLibrary
{
    /// <summary>Name of the library.</summary>
    internal const string FileName = "libespalier-xfrm.so";

    /// <summary>Beside the executable, or in the library folder of the same installation (…/bin/espalier, …/lib/espalier/); null = not there.</summary>
    internal static string? Find(string baseDirectory) =>
        new[] { Path.Combine(baseDirectory, FileName), Path.GetFullPath(Path.Combine(baseDirectory, "..", "lib", "espalier", FileName)) }.FirstOrDefault(File.Exists);

    /// <summary>The value of LD_PRELOAD with <paramref name="library"/> first; what was there stays.</summary>
    internal static string Prepend(string library, string? existing) =>
        string.IsNullOrWhiteSpace(existing) ? library
        : existing.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries).Contains(library, StringComparer.Ordinal) ? existing
        : $"{library}:{existing}";

    /// <summary>LD_PRELOAD is a list separated by colons and spaces and has no quoting.</summary>
    internal static bool CanBePreloaded(string library) => library.AsSpan().IndexOfAny(' ', ':') < 0;
}
