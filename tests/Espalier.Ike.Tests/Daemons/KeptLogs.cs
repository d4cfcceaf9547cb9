using System.Text;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>Logs of daemons: the end goes to the test's output, which the runner shows of a failed test; the whole stays in artifacts/ike until the next run.</summary>
internal static class KeptLogs
{
    /// <summary>Keeps a log of the running test.</summary>
    public static void Keep(string name, string text, int lines = 60)
    {
        var context = TestContext.Current;
        string test = context.TestMethod is { } method ? $"{method.TestClass.TestClassSimpleName}.{method.MethodName}" : "setup";
        string folder = Path.Combine(EspalierProgram.Root(), "artifacts", "ike", test);
        Directory.CreateDirectory(folder);
        var arguments = new StringBuilder();
        foreach (char c in context.Test?.TestDisplayName ?? "")
        {
            arguments.Append(char.IsAsciiLetterOrDigit(c) ? c : '-');
        }

        string suffix = arguments.ToString();
        suffix = suffix.Length > 60 ? suffix[^60..] : suffix;
        File.WriteAllText(Path.Combine(folder, $"{suffix}.{name}.log"), text);
        context.TestOutputHelper?.WriteLine($"---- {name}\n{string.Join('\n', text.Split('\n').TakeLast(lines))}");
    }
}
