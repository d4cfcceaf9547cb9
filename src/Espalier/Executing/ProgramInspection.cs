using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Espalier.Executing;

/// <summary>Says why the preload library would have no effect on a program (ld.so(8)), without running it.</summary>
internal static class ProgramInspection
{
    private const int MaxInterpreters = 4;
    private const int ProgramInterpreter = 3;   // PT_INTERP
    private const int ProgramNote = 4;          // PT_NOTE
    private const int HeaderBytes = 4096;

    /// <summary>The file that a name stands for, as execvp(3) looks for it; null = none.</summary>
    internal static string? Find(string program, string? path) =>
        program.Contains('/', StringComparison.Ordinal)
            ? (File.Exists(program) ? program : null)
            : (path ?? "/bin:/usr/bin").Split(':').Select(folder => Path.Combine(folder.Length == 0 ? "." : folder, program)).FirstOrDefault(File.Exists);

    /// <summary>Null where the library will be loaded, as far as can be seen; else the reason why not.</summary>
    internal static string? WhyNotPreloaded(string file, bool isRoot)
    {
        for (int depth = 0; depth < MaxInterpreters && OperatingSystem.IsLinux(); depth++)
        {
            byte[] head;
            UnixFileMode mode;
            try
            {
                mode = File.GetUnixFileMode(file);
                head = ReadHead(file);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return null;    // Whether it can be run is for execve to say.
            }

            // Scripts: the kernel ignores their set-user-ID bit and runs the interpreter.
            if (head.AsSpan().StartsWith("#!"u8))
            {
                file = Interpreter(head);
                continue;
            }

            return (mode & (UnixFileMode.SetUser | UnixFileMode.SetGroup)) != 0 && !isRoot
                ? $"{file} is a set-user-ID or set-group-ID program"
                : ReasonOf(file, head);
        }

        return null;
    }

    private static byte[] ReadHead(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        byte[] head = new byte[HeaderBytes];
        return head[..stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
    }

    private static string Interpreter(byte[] head)
    {
        var line = head.AsSpan(2);
        int end = line.IndexOf((byte)'\n');
        string text = System.Text.Encoding.UTF8.GetString(end < 0 ? line : line[..end]).Trim();
        int space = text.AsSpan().IndexOfAny(' ', '\t');
        return space < 0 ? text : text[..space];
    }

    private static string? ReasonOf(string file, ReadOnlySpan<byte> head)
    {
        if (head.Length < 64 || !head.StartsWith("\u007fELF"u8))
        {
            return null;
        }

        bool is64 = head[4] == 2, isLittle = head[5] == 1;
        if (is64 != Environment.Is64BitProcess || isLittle != BitConverter.IsLittleEndian)
        {
            return $"{file} is for another architecture than {RuntimeInformation.OSArchitecture}";
        }

        // ELF header: e_phoff at 32, e_phentsize at 54, e_phnum at 56 (64 bit); at 28, 42, 44 (32 bit). p_type is the first word of an entry.
        ulong offset = is64 ? BinaryPrimitives.ReadUInt64LittleEndian(head[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(head[28..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(head[(is64 ? 54 : 42)..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head[(is64 ? 56 : 44)..]);
        bool isDynamic = false, isGo = false;
        for (int i = 0; i < count; i++)
        {
            ulong at = offset + ((ulong)i * (ulong)size);
            if (at + 40 > (ulong)head.Length)
            {
                return null;    // Program headers elsewhere: cannot be seen here.
            }

            var entry = head[(int)at..];
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            isDynamic |= type == ProgramInterpreter;
            isGo |= type == ProgramNote && HasGoNote(head, entry, is64);
        }

        return !isDynamic ? $"{file} is statically linked"
            : isGo ? $"{file} is a Go program, which makes its system calls itself"
            : null;
    }

    // p_offset at 8 and p_filesz at 32 (64 bit), at 4 and 16 (32 bit). A note: lengths of name and value, type, name, value; Go's build id is of type 4.
    private static bool HasGoNote(ReadOnlySpan<byte> head, ReadOnlySpan<byte> entry, bool is64)
    {
        ulong at = is64 ? BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]) : BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
        ulong length = is64 ? BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]);
        if (at >= (ulong)head.Length)
        {
            return false;
        }

        var notes = head[(int)at..];
        notes = notes[..(int)Math.Min(length, (ulong)notes.Length)];
        while (notes.Length >= 16)
        {
            if (notes[8..].StartsWith("\u0004\0\0\0Go\0\0"u8))
            {
                return true;
            }

            ulong next = 12 + Padded(notes) + Padded(notes[4..]);
            notes = next < (ulong)notes.Length ? notes[(int)next..] : default;
        }

        return false;
    }

    private static ulong Padded(ReadOnlySpan<byte> length) => (BinaryPrimitives.ReadUInt32LittleEndian(length) + 3ul) & ~3ul;
}
