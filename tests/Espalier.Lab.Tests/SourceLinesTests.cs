using Espalier.Lab.Measuring;

namespace Espalier.Lab.Tests;

public sealed class SourceLinesTests
{
    [Theory]
    [InlineData("int a;", 1)]
    [InlineData("", 0)]
    [InlineData("  // words", 0)]
    [InlineData("int a; // words", 1)]
    [InlineData("/* words */", 0)]
    [InlineData("/* words */ int a;", 1)]
    [InlineData("/* words\n * more\n */\nint a;", 1)]
    [InlineData("int a; /* words\nmore */\nint b;", 2)]
    [InlineData("/* words\nmore */ int b;", 1)]
    [InlineData("#include <a.h>\n\nint main(void)\n{\n}", 4)]
    [InlineData("Open(\"/proc/*\");\nint b;", 2)]
    public void Count_Source_IsLinesOfCode(string source, int expected) => Assert.Equal(expected, SourceLines.Count(source.Split('\n')));
}
