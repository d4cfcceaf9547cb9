using System.Globalization;

namespace Espalier.Lab.Net;

/// <summary>
/// The size of socket buffers that programs get without asking, the same for every subject. It is a setting of the whole host, so it is put back at the
/// end; a lab that was killed leaves a note from which the next one puts it back.
/// </summary>
internal sealed class SocketDefaults : IDisposable
{
    private const string Note = "socket-defaults";
    private static readonly string[] _settings = ["rmem_default", "wmem_default", "rmem_max", "wmem_max"];
    private readonly string _folder;

    private SocketDefaults(string folder) => _folder = folder;

    /// <summary>Raises the defaults to <paramref name="bytes"/>, and the maxima where they are lower; 0 leaves them. Null if nothing was changed.</summary>
    public static SocketDefaults? Set(int bytes)
    {
        if (bytes == 0)
        {
            return null;
        }

        string folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"{Leftovers.Stem}{Environment.ProcessId}-settings")).FullName;
        File.WriteAllLines(Path.Combine(folder, Note), _settings.Select(name => $"{name} {Read(name)}"));
        foreach (string name in _settings)
        {
            Write(name, name.EndsWith("max", StringComparison.Ordinal) ? Math.Max(bytes, Read(name)) : bytes);
        }

        return new SocketDefaults(folder);
    }

    /// <summary>Puts back what a note in <paramref name="folder"/> says, if there is one.</summary>
    public static void RestoreFrom(string folder)
    {
        string note = Path.Combine(folder, Note);
        foreach (string[] words in File.Exists(note) ? File.ReadAllLines(note).Select(line => line.Split(' ')) : [])
        {
            Write(words[0], long.Parse(words[1], CultureInfo.InvariantCulture));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        RestoreFrom(_folder);
        Directory.Delete(_folder, recursive: true);
    }

    private static long Read(string name) => long.Parse(File.ReadAllText($"/proc/sys/net/core/{name}"), CultureInfo.InvariantCulture);

    private static void Write(string name, long value) => File.WriteAllText($"/proc/sys/net/core/{name}", value.ToString(CultureInfo.InvariantCulture));
}
