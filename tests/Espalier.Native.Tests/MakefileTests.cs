using Espalier.Testing;

namespace Espalier.Native.Tests;

/// <summary>The Makefiles of native/: what they build is whole as soon as it is there, also where two builds run at once, as those of two tests do.</summary>
public sealed class MakefileTests
{
    // Stands in for the compiler: leaves half a program, waits until the other build has come as far, and finishes it.
    private const string Compiler = """
        while [ "$1" != -o ]; do shift; done
        echo "$2" >> "$(dirname "$0")/outputs"
        echo half > "$2"
        until [ "$(wc -l < "$(dirname "$0")/outputs")" -ge 2 ]; do sleep 0.01; done
        echo whole > "$2"
        """;

    [Theory]
    [InlineData("ceiling", "ceiling")]
    [InlineData("preload", "libespalier-xfrm.so")]
    [InlineData("preload", "libespalier-xfrm-sanitized.so")]
    [InlineData("preload", "preload-tests")]
    public async Task Make_TwoAtOnce_EachWritesAFileOfItsOwn(string folder, string name)
    {
        Requirement.Tool("make");
        var work = Directory.CreateTempSubdirectory("espalier-make-");
        try
        {
            string compiler = Path.Combine(work.FullName, "cc"), output = Path.Combine(work.FullName, "out"), program = Path.Combine(output, name);
            await File.WriteAllTextAsync(compiler, Compiler, TestContext.Current.CancellationToken);

            string Make() => Command.Run("make", "-C", Path.Combine(PreloadBuild.Root, "native", folder), $"CC=sh {compiler}", $"OUT={output}", program);
            await Task.WhenAll(Task.Run(Make, TestContext.Current.CancellationToken), Task.Run(Make, TestContext.Current.CancellationToken));

            string[] written = await File.ReadAllLinesAsync(Path.Combine(work.FullName, "outputs"), TestContext.Current.CancellationToken);
            Assert.Equal(2, written.Distinct().Count());
            Assert.DoesNotContain(program, written);
            Assert.Equal([program], Directory.GetFiles(output));
            Assert.Equal("whole\n", await File.ReadAllTextAsync(program, TestContext.Current.CancellationToken));
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }
}
