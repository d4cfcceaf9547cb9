using System.Globalization;
using System.Text;

namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>
/// A cpio archive of the kind "newc", which the Linux kernel unpacks as its first root file system:
/// <c>magic, 13 fields of 8 hex digits, name, 0, padding to 4, content, padding to 4</c> for each file, the last of them named TRAILER!!!.
/// </summary>
internal sealed class CpioArchive : IDisposable
{
    private const int Folder = 0x41ed, Program = 0x81ed;

    private readonly FileStream _file;
    private readonly HashSet<string> _names = [];
    private int _number;

    public CpioArchive(string path) => _file = File.Create(path);

    /// <summary>Adds a file that anybody may run, and the folders above it, each once.</summary>
    public void Add(string name, byte[] content)
    {
        AddFolder(Path.GetDirectoryName(name)!);
        if (_names.Add(name))
        {
            Write(name, Program, content);
        }
    }

    /// <summary>Adds a folder and those above it, each once.</summary>
    public void AddFolder(string name)
    {
        if (name.Length == 0 || !_names.Add(name))
        {
            return;
        }

        AddFolder(Path.GetDirectoryName(name)!);
        Write(name, Folder, []);
    }

    public void Dispose()
    {
        Write("TRAILER!!!", 0, []);
        _file.Dispose();
    }

    private void Write(string name, int mode, byte[] content)
    {
        // Inode, mode, user, group, links, time, size, device, device number, length of the name, checksum.
        int[] fields = [++_number, mode, 0, 0, 1, 0, content.Length, 0, 0, 0, 0, Encoding.ASCII.GetByteCount(name) + 1, 0];
        string header = "070701" + string.Concat(fields.Select(field => field.ToString("x8", CultureInfo.InvariantCulture)));
        _file.Write(Encoding.ASCII.GetBytes($"{header}{name}\0"));
        Align();
        _file.Write(content);
        Align();
    }

    private void Align() => _file.Write(new byte[-_file.Position & 3]);
}
