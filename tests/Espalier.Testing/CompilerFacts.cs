using System.Globalization;
using System.Text;

namespace Espalier.Testing;

/// <summary>Asks the C compiler what the host's headers say: sizes, offsets and constants.</summary>
public static class CompilerFacts
{
    /// <summary>Skips unless there is a C compiler with the C library's headers.</summary>
    public static void Require()
    {
        Requirement.Tool("gcc");
        Xunit.Assert.SkipUnless(File.Exists("/usr/include/stdio.h"), "needs the C library's headers (libc6-dev)");
    }

    /// <summary>
    /// Compiles and runs a program that evaluates integer expressions of C, such as <c>sizeof(struct iovec)</c> or
    /// <c>offsetof(struct xfrm_usersa_info, lft)</c>; returns their values in the same order.
    /// </summary>
    /// <param name="headers">Headers to include, in this order; stdio.h and stddef.h come first by themselves.</param>
    /// <param name="expressions">The expressions.</param>
    /// <param name="prologue">C text between headers and program, for definitions.</param>
    /// <exception cref="InvalidOperationException">It does not compile; the message holds what the compiler said.</exception>
    public static long[] Evaluate(IEnumerable<string> headers, IReadOnlyList<string> expressions, string prologue = "")
    {
        ArgumentNullException.ThrowIfNull(headers);
        ArgumentNullException.ThrowIfNull(expressions);
        var source = new StringBuilder("#define _GNU_SOURCE\n#include <stdio.h>\n#include <stddef.h>\n");
        foreach (string header in headers)
        {
            source.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        }

        source.Append(prologue).Append("\nint main(void)\n{\n");
        foreach (string expression in expressions)
        {
            source.Append(CultureInfo.InvariantCulture, $"    printf(\"%lld\\n\", (long long)({expression}));\n");
        }

        source.Append("    return 0;\n}\n");
        var directory = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-facts");
        try
        {
            string file = Path.Combine(directory.FullName, "facts.c");
            string program = Path.Combine(directory.FullName, "facts");
            File.WriteAllText(file, source.ToString());
            Command.Run("gcc", "-Wall", "-Werror", "-o", program, file);
            return [.. Command.Run(program).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => long.Parse(line, CultureInfo.InvariantCulture))];
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
