using System.Globalization;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Measuring;

/// <summary>What was fuzzed, for how long, and what that found: one line of the table of docs/fuzzing.md.</summary>
/// <param name="Target">Its name.</param>
/// <param name="MeetsEsp">It gives ESP packets, or what quotes them, to the code that meets them.</param>
/// <param name="Hours">Sum of its runs.</param>
/// <param name="Executions">Inputs run.</param>
/// <param name="Paths">Inputs kept because each took a way that no other took.</param>
/// <param name="Findings">Faults found in the code.</param>
internal sealed record FuzzingRecord(string Target, bool MeetsEsp, double Hours, long Executions, long Paths, int Findings)
{
    /// <summary>The document, by its path from the root.</summary>
    public const string Document = "docs/fuzzing.md";

    private const string Header = "| target | meets ESP | hours | executions | paths | findings |";

    /// <summary>Reads the table.</summary>
    /// <exception cref="LabException">There is none, or a line of it is not what it must be.</exception>
    public static FuzzingRecord[] Read(string markdown)
    {
        string[] rows = [.. markdown.Split('\n').SkipWhile(line => line.Trim() != Header).Skip(2).TakeWhile(line => line.StartsWith('|'))];
        return rows.Length == 0 ? throw new LabException($"{Document} has no table with the columns {Header}") : [.. rows.Select(Parse)];
    }

    private static FuzzingRecord Parse(string row)
    {
        string[] cells = [.. row.Trim().Trim('|').Split('|').Select(cell => cell.Trim())];
        return cells is [var target, "yes" or "no", ..] && cells.Length == 6
            && double.TryParse(cells[2], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double hours)
            && long.TryParse(cells[3], NumberStyles.AllowThousands, CultureInfo.InvariantCulture, out long executions)
            && long.TryParse(cells[4], NumberStyles.AllowThousands, CultureInfo.InvariantCulture, out long paths)
            && int.TryParse(cells[5], NumberStyles.None, CultureInfo.InvariantCulture, out int findings)
            ? new FuzzingRecord(target.Trim('`'), cells[1] == "yes", hours, executions, paths, findings)
            : throw new LabException($"{Document}: this line of the table is not understood: {row.Trim()}");
    }
}
