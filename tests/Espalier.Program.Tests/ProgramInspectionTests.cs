using System.Buffers.Binary;
using Espalier.Executing;

namespace Espalier.Program.Tests;

/// <summary>Which programs the preload library has no effect on, and how it gets into the others.</summary>
public sealed class ProgramInspectionTests : IDisposable
{
    private const int HeaderLength = 64, EntryLength = 56;
    private readonly string _folder = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-").FullName;

    [Fact]
    public void WhyNotPreloaded_DynamicProgram_Null() => Assert.Null(ProgramInspection.WhyNotPreloaded(Elf(64, interpreter: true), isRoot: false));

    [Fact]
    public void WhyNotPreloaded_StaticProgram_SaysSo() =>
        Assert.Contains("statically linked", ProgramInspection.WhyNotPreloaded(Elf(64, interpreter: false), isRoot: true), StringComparison.Ordinal);

    // Go's build id stands in a note of its own, or, where a C linker has put the program together, behind others.
    [Theory]
    [InlineData(4u, "Go", true)]
    [InlineData(3u, "GNU", false)]
    [InlineData(4u, "GNU", false)]
    public void WhyNotPreloaded_DynamicProgram_OfGo_SaysSo(uint type, string owner, bool isGo)
    {
        foreach (byte[] before in (byte[][])[[], Note(3, "GNU", 20), Note(5, "stapsdt", 1)])
        {
            string file = Elf(64, interpreter: true, [.. before, .. Note(type, owner, 83)]);

            string? reason = ProgramInspection.WhyNotPreloaded(file, isRoot: true);

            Assert.Equal(isGo ? $"{file} is a Go program, which makes its system calls itself" : null, reason);
        }
    }

    // Lengths that lie end the search.
    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public void WhyNotPreloaded_NoteThatLies_Ends(int at)
    {
        byte[] note = [.. Note(3, "GNU", 20), .. Note(4, "Go", 83)];
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(at), uint.MaxValue);

        Assert.Null(ProgramInspection.WhyNotPreloaded(Elf(64, interpreter: true, note), isRoot: true));
    }

    [Fact]
    public void WhyNotPreloaded_OtherArchitecture_SaysSo() =>
        Assert.Contains("architecture", ProgramInspection.WhyNotPreloaded(Elf(32, interpreter: true), isRoot: true), StringComparison.Ordinal);

    [Fact]
    public void WhyNotPreloaded_SetUserId_OnlyForOthersThanRoot()
    {
        string file = Elf(64, interpreter: true);
        if (OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute | UnixFileMode.SetUser);
        }

        Assert.Contains("set-user-ID", ProgramInspection.WhyNotPreloaded(file, isRoot: false), StringComparison.Ordinal);
        Assert.Null(ProgramInspection.WhyNotPreloaded(file, isRoot: true));
    }

    [Fact]
    public void WhyNotPreloaded_Script_LooksAtItsInterpreter()
    {
        string script = Write("script", System.Text.Encoding.UTF8.GetBytes($"#! {Elf(64, interpreter: false)} -x\nsomething\n"));

        Assert.Contains("statically linked", ProgramInspection.WhyNotPreloaded(script, isRoot: true), StringComparison.Ordinal);
    }

    [Fact]
    public void WhyNotPreloaded_ScriptThatRunsItself_Ends()
    {
        string script = Path.Combine(_folder, "loop");
        Write("loop", System.Text.Encoding.UTF8.GetBytes($"#!{script}\n"));

        Assert.Null(ProgramInspection.WhyNotPreloaded(script, isRoot: true));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(63)]
    [InlineData(64)]
    public void WhyNotPreloaded_TruncatedProgram_Ends(int length)
    {
        byte[] whole = File.ReadAllBytes(Elf(64, interpreter: true));
        Assert.Null(ProgramInspection.WhyNotPreloaded(Write("cut", whole[..length]), isRoot: true));
    }

    [Fact]
    public void Find_NameWithoutSlash_LooksInThePath()
    {
        Write("tool", [1]);

        Assert.Equal(Path.Combine(_folder, "tool"), ProgramInspection.Find("tool", $"/nonexistent:{_folder}"));
        Assert.Null(ProgramInspection.Find("tool", "/nonexistent"));
        Assert.Null(ProgramInspection.Find("./no-such-tool", _folder));
    }

    [Theory]
    [InlineData(null, "/x/lib.so")]
    [InlineData("", "/x/lib.so")]
    [InlineData("/y/other.so", "/x/lib.so:/y/other.so")]
    [InlineData("/y/other.so /x/lib.so", "/y/other.so /x/lib.so")]
    public void Prepend_KeepsWhatWasThere(string? existing, string expected) => Assert.Equal(expected, PreloadLibrary.Prepend("/x/lib.so", existing));

    [Fact]
    public void CanBePreloaded_PathWithSeparators_False()
    {
        Assert.True(PreloadLibrary.CanBePreloaded("/opt/espalier/lib.so"));
        Assert.False(PreloadLibrary.CanBePreloaded("/opt/my espalier/lib.so"));
        Assert.False(PreloadLibrary.CanBePreloaded("/opt/a:b/lib.so"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // An ELF header and two program headers, PT_INTERP (3) or PT_LOAD (1), and PT_NOTE (4), and the notes.
    private string Elf(int bits, bool interpreter, params byte[] notes)
    {
        const int start = HeaderLength + 2 * EntryLength;
        byte[] file = [.. new byte[start], .. notes];
        "\u007fELF"u8.CopyTo(file);
        file[4] = (byte)(bits == 64 ? 2 : 1);
        file[5] = 1;
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(32), HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(54), EntryLength);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 2);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(HeaderLength), interpreter ? 3u : 1u);
        var entry = file.AsSpan(HeaderLength + EntryLength);
        BinaryPrimitives.WriteUInt32LittleEndian(entry, 4u);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], start);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], (ulong)notes.Length);
        return Write($"elf{bits}{interpreter}", file);
    }

    private static byte[] Note(uint type, string owner, int length)
    {
        byte[] note = new byte[12 + (owner.Length + 4) / 4 * 4 + (length + 3) / 4 * 4];
        BinaryPrimitives.WriteUInt32LittleEndian(note, (uint)owner.Length + 1);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(4), (uint)length);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(8), type);
        System.Text.Encoding.ASCII.GetBytes(owner, note.AsSpan(12));
        return note;
    }

    private string Write(string name, byte[] contents)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, contents);
        return path;
    }
}
