using System.Globalization;
using Espalier.Io.Host;
using Espalier.Io.Processes;

namespace Espalier.Diagnosis;

/// <summary>
/// What the checks see of the host: its files, below a root that a test can put elsewhere. A file that cannot be read is null:
/// a check says what that means.
/// </summary>
internal sealed class HostView(string root = "/")
{
    /// <summary>Where this program's files are.</summary>
    internal string BaseDirectory { get; init; } = AppContext.BaseDirectory;

    /// <summary>The search path for programs.</summary>
    internal string SearchPath { get; init; } = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";

    /// <summary>The user this process acts as.</summary>
    internal uint User { get; init; } = UserDirectory.EffectiveUser;

    /// <summary>Contents of a file, or null.</summary>
    internal string? Read(string path)
    {
        try
        {
            return File.ReadAllText(At(path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Lines of a file; none where it cannot be read.</summary>
    internal string[] Lines(string path) => Read(path)?.Split('\n', StringSplitOptions.RemoveEmptyEntries) ?? [];

    /// <summary>A number in a file, such as a sysctl, or null.</summary>
    internal long? Number(string path) =>
        long.TryParse(Read(path)?.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? value : null;

    /// <summary>True for a file, a directory or a device.</summary>
    internal bool Exists(string path) => Path.Exists(At(path));

    /// <summary>Names in a directory; none where there is none.</summary>
    internal string[] Names(string path)
    {
        try
        {
            return [.. Directory.GetFileSystemEntries(At(path)).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The path of an installed program, or null.</summary>
    internal string? FindProgram(string name) =>
        SearchPath.Split(':', StringSplitOptions.RemoveEmptyEntries).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>0, or the errno with which a device refuses to be opened for reading and writing.</summary>
    internal int TryOpen(string path) => DeviceAccess.TryOpen(At(path));

    private string At(string path) => root == "/" ? path : Path.Combine(root, path.TrimStart('/'));
}
