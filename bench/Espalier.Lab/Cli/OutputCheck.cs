using Espalier.Lab.Hosts;

namespace Espalier.Lab.Cli;

/// <summary>Whether results can be written where the user wants them, found out before anything is measured.</summary>
internal static class OutputCheck
{
    /// <summary>Throws, with one line, if a file cannot be written or a folder not be made; null is not looked at.</summary>
    public static void Writable(string? file, string? folder)
    {
        if (file is not null)
        {
            if (Directory.Exists(file))
            {
                throw new LabException($"{file} cannot be written: it is a folder");
            }

            Try(file, () => File.Delete(Create(file + ".new")));
        }

        if (folder is not null)
        {
            Try(folder, () => Directory.CreateDirectory(folder));
        }
    }

    /// <summary>Throws, with one line, if a file is not there.</summary>
    public static void Exists(string file)
    {
        if (!File.Exists(file))
        {
            throw new LabException($"{file} is not there");
        }
    }

    private static string Create(string path)
    {
        File.WriteAllText(path, "");
        return path;
    }

    private static void Try(string path, Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LabException($"{path} cannot be written: {exception.Message}", exception);
        }
    }
}
