using System.Text.RegularExpressions;

namespace Espalier.Testing;

/// <summary>
/// A folder of a test below the system's folder for temporary files, named <c>espt{pid}-{role}…</c>. Folders whose process died without removing them are
/// removed by the next process that makes one.
/// </summary>
public sealed partial class TemporaryFolder : IDisposable
{
    private static readonly Lazy<bool> Cleaned = new(RemoveLeftovers);

    /// <summary>Makes it; everybody may read it, since some daemons drop root's rights.</summary>
    public TemporaryFolder(string role)
    {
        _ = Cleaned.Value;
        Path = Directory.CreateTempSubdirectory($"espt{Environment.ProcessId}-{role}").FullName;
        if (OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(Path, (UnixFileMode)0b111_101_101);
        }
    }

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>The path of a file in it, whose folders are made.</summary>
    public string FilePath(string name)
    {
        string path = System.IO.Path.Combine(Path, name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return path;
    }

    /// <summary>Writes a file and returns its path.</summary>
    public string Write(string name, string text)
    {
        string path = FilePath(name);
        File.WriteAllText(path, text);
        return path;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    private static bool RemoveLeftovers()
    {
        // Captures and control sockets of dead processes are beside their folders.
        foreach (string path in Directory.GetFileSystemEntries(System.IO.Path.GetTempPath()))
        {
            var match = OwnName().Match(System.IO.Path.GetFileName(path));
            if (match.Success && !Directory.Exists($"/proc/{match.Groups[1].Value}"))
            {
                if (Directory.Exists(path))
                {
                    Directory.Delete(path, recursive: true);
                }
                else
                {
                    File.Delete(path);
                }
            }
        }

        return true;
    }

    [GeneratedRegex("^espt([0-9]+)-.*$")]
    private static partial Regex OwnName();
}
