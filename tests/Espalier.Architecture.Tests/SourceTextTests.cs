using System.Text.RegularExpressions;

namespace Espalier.Architecture.Tests;

public sealed partial class SourceTextTests
{
    private const int LongestFile = 450;
    private static readonly string[] _interop = ["src/Espalier.Io/Interop/", "src/Espalier.Crypto/Interop/"];
    private static readonly string[] _unsafe = ["src/Espalier.Io/", "src/Espalier.Crypto/"];

    [Fact]
    public void Repository_TopLevelEntries_AreTheKnownOnes()
    {
        string[] known =
        [
            ".ci", ".editorconfig", ".gitattributes", ".gitignore", ".github", "bench", "Directory.Build.props", "Directory.Packages.props", "docs",
            "Espalier.slnx", "global.json", "LICENSE", "native", "README.md", "src", "tests",
        ];
        string[] built = [".git", ".idea", ".vs", "artifacts", "BenchmarkDotNet.Artifacts"];
        var unknown = Directory.EnumerateFileSystemEntries(Repository.Root).Select(Path.GetFileName).Except(known).Except(built);
        Assert.DoesNotContain(unknown, name => !name!.EndsWith(".user", StringComparison.Ordinal));
    }

    [Fact]
    public void SourceFiles_Length_IsAtMost450Lines() =>
        Assert.DoesNotContain(
            Repository.CSharpFiles("src").Select(file => (file, lines: Repository.Read(file).Count(c => c == '\n'))), entry => entry.lines > LongestFile);

    [Fact]
    public void SourceFiles_UnsafeCode_IsOnlyInIoAndCrypto() =>
        Assert.DoesNotContain(Repository.CSharpFiles("src"), file =>
            !Array.Exists(_unsafe, folder => file.StartsWith(folder, StringComparison.Ordinal)) && Unsafe().IsMatch(Repository.ReadCode(file)));

    [Fact]
    public void SourceFiles_NativeImports_AreOnlyInInteropOneAFile()
    {
        foreach (string file in Repository.CSharpFiles("src"))
        {
            int imports = NativeImport().Count(Repository.ReadCode(file));
            int allowed = Array.Exists(_interop, folder => file.StartsWith(folder, StringComparison.Ordinal)) ? 1 : 0;
            Assert.True(imports <= allowed, $"{file} has {imports} native imports; {allowed} may be there.");
        }
    }

    [Fact]
    public void SourceFiles_Stubs_AreNone() =>
        Assert.DoesNotContain(
            Repository.CSharpFiles("src"), file => Repository.ReadCode(file).Contains("NotImplementedException", StringComparison.Ordinal));

    // A folder is a role, and the namespace says where a type is found.
    [Fact]
    public void SourceFiles_Namespace_IsTheFolder()
    {
        foreach (string file in Repository.CSharpFiles("src"))
        {
            var match = Namespace().Match(Repository.ReadCode(file));
            string folder = Path.GetDirectoryName(file)!["src/".Length..].Replace('\\', '/').Replace('/', '.');
            string deepest = match.Groups["name"].Value;
            Assert.True(
                !match.Success || deepest == folder || folder.StartsWith(deepest + ".", StringComparison.Ordinal),
                $"{file} declares namespace {deepest}.");
        }
    }

    // STYLE: a folder is a role.
    [Fact]
    public void SourceFolders_Names_AreRoles() =>
        Assert.Empty(Repository.CSharpFiles("src").SelectMany(file => file.Split('/')[..^1])
            .Where(name => name is "Utils" or "Utilities" or "Helpers" or "Common" or "Misc").Distinct());

    [Theory]
    [InlineData("var a = \"unsafe\"; // unsafe\n/* unsafe */ /// unsafe", false)]
    [InlineData("unsafe class A;", true)]
    [InlineData("char c = '\"'; unsafe { } string s = \"\";", true)]
    [InlineData("var s = @\"a\"\"unsafe\";", false)]
    public void ReadCode_CommentsAndLiterals_AreLeftOut(string text, bool isUnsafe)
    {
        string file = Path.Combine(Path.GetTempPath(), $"espalier-{Environment.ProcessId}-{Guid.NewGuid():N}.cs");
        File.WriteAllText(file, text);
        try
        {
            Assert.Equal(isUnsafe, Unsafe().IsMatch(Repository.ReadCode(file)));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [GeneratedRegex(@"\bunsafe\b|\bdelegate\s*\*")]
    private static partial Regex Unsafe();

    [GeneratedRegex(@"\bLibraryImport\s*\(|\bDllImport\s*\(|\bNativeLibrary\b|\bGetDelegateForFunctionPointer\b|\bdelegate\s*\*\s*unmanaged")]
    private static partial Regex NativeImport();

    [GeneratedRegex(@"^namespace (?<name>[\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();
}
