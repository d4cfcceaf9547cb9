namespace Espalier.Lab.Measuring;

/// <summary>Lines of C and C# source that are neither empty nor comment.</summary>
internal static class SourceLines
{
    /// <summary>How they were counted, for the record.</summary>
    public const string Method = "lines that are neither empty nor comment, without tests and what a build generates";

    /// <summary>Counts the files below a folder that end in one of <paramref name="endings"/>, without folders called tests or obj.</summary>
    public static int Count(string folder, params string[] endings) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Where(path => endings.Any(ending => path.EndsWith(ending, StringComparison.Ordinal)))
        .Where(path => !Path.GetRelativePath(folder, path).Split('/').Any(part => part is "tests" or "obj" or "bin"))
        .Sum(path => Count(File.ReadLines(path)));

    /// <summary>Counts lines. A line with code before or after a comment is one of code; a comment sign within a string is not looked for.</summary>
    public static int Count(IEnumerable<string> lines)
    {
        int count = 0;
        bool inComment = false;
        foreach (string line in lines)
        {
            count += HasCode(line, ref inComment) ? 1 : 0;
        }

        return count;
    }

    private static bool HasCode(ReadOnlySpan<char> line, ref bool inComment)
    {
        while (true)
        {
            if (inComment)
            {
                int end = line.IndexOf("*/");
                if (end < 0)
                {
                    return false;
                }

                inComment = false;
                line = line[(end + 2)..];
            }

            line = line.TrimStart();
            if (line.IsEmpty || line.StartsWith("//"))
            {
                return false;
            }

            if (!line.StartsWith("/*"))
            {
                // A comment that is left open behind the code goes on in the next line.
                int opened = line.LastIndexOf("/*");
                inComment = opened >= 0 && line[opened..].IndexOf("*/") < 0 && !line[..opened].Contains('"');
                return true;
            }

            inComment = true;
            line = line[2..];
        }
    }
}
