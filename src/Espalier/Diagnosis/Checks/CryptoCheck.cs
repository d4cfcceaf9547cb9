using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Diagnosis.Checks;

/// <summary>Which crypto engines are there, pass their self-test, and which of them is the fastest.</summary>
internal static class CryptoCheck
{
    internal static IEnumerable<Finding> Examine(IEnumerable<(string Name, CryptoEngine? Engine, string? Reason)> engines)
    {
        var found = engines.ToArray();
        var usable = found.Where(entry => entry.Engine is not null).ToArray();
        if (usable.Length == 0)
        {
            yield return new Finding(Severity.Problem, "crypto", $"no engine can be used: {found[0].Reason}");
            yield break;
        }

        string fastest = usable[0].Name;
        yield return new Finding(
            Severity.Good, "crypto", $"engines, the fastest first: {string.Join(", ", usable.Select(entry => $"{entry.Name} ({entry.Engine!.Library})"))}",
            fastest == CryptoEngine.System.Name ? null : $"'espalier run --crypto {fastest}' uses the fastest; without --crypto it is 'system'");
        foreach (var (name, _, reason) in found.Where(entry => entry.Engine is null))
        {
            yield return new Finding(Severity.Note, "crypto", $"{name} cannot be used: {reason}");
        }
    }
}
