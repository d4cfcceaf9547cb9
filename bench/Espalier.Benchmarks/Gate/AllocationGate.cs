using System.Globalization;

namespace Espalier.Benchmarks.Gate;

/// <summary>What the gate needs to know of one benchmark that ran.</summary>
/// <param name="Name">Type, method and parameters.</param>
/// <param name="IsHotPath">It must not allocate.</param>
/// <param name="AllocatedBytes">Bytes allocated by all its measured operations; null = it was not measured.</param>
/// <param name="Operations">How many those were.</param>
internal sealed record GatedResult(string Name, bool IsHotPath, long? AllocatedBytes, long Operations);

/// <summary>What may not allocate, and the verdict. It looks at no time.</summary>
internal static class AllocationGate
{
    /// <summary>Category of the benchmarks of the hot path.</summary>
    internal const string HotPath = "HotPath";

    // What allocates inside its library, packet by packet, where we cannot help it: BouncyCastle, and the AesCcm of .NET (32 B a call).
    private static readonly string[] s_allocating = ["=bouncycastle", "=system aes128ccm16"];

    /// <summary>True for a benchmark that must not allocate.</summary>
    /// <param name="categories">Of the benchmark.</param>
    /// <param name="parameters">Of the case: <c>Engine=system, Size=1400</c>.</param>
    internal static bool MustNotAllocate(IEnumerable<string> categories, string parameters) =>
        categories.Contains(HotPath) && !s_allocating.Any(part => parameters.Contains(part, StringComparison.Ordinal));

    /// <summary>One line for each benchmark that fails; none = passed.</summary>
    internal static IReadOnlyList<string> Failures(IReadOnlyList<GatedResult> results)
    {
        var lines = new List<string>();
        if (!results.Any(result => result.IsHotPath))
        {
            lines.Add("no benchmark of the hot path ran");
        }

        foreach (var result in results)
        {
            if (result.AllocatedBytes is not { } bytes || result.Operations <= 0)
            {
                lines.Add($"{result.Name}: did not run");
            }
            else if (result.IsHotPath && bytes > 0)
            {
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"{result.Name}: allocates {(double)bytes / result.Operations:0.###} B per operation, 0 allowed"));
            }
        }

        return lines;
    }
}
