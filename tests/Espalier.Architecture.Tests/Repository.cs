using System.Text.RegularExpressions;

namespace Espalier.Architecture.Tests;

/// <summary>The working tree that these tests were built from.</summary>
internal static partial class Repository
{
    /// <summary>The folder that holds Espalier.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The C# files below a folder of the tree, build output left out, as paths from the root with '/'.</summary>
    public static IEnumerable<string> CSharpFiles(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);

    /// <summary>The text of a file, by its path from the root.</summary>
    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    /// <summary>The text of a file without comments and without the content of string and character literals.</summary>
    public static string ReadCode(string file) => CommentOrLiteral().Replace(Read(file), match => match.Value[0] == '/' ? "" : "\"\"");

    [GeneratedRegex("""//[^\n]*|/\*.*?\*/|\"{3}.*?\"{3}|@"(?:[^"]|"")*"|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'""", RegexOptions.Singleline)]
    private static partial Regex CommentOrLiteral();

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Espalier.slnx")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"No Espalier.slnx above {AppContext.BaseDirectory}.");
    }
}
