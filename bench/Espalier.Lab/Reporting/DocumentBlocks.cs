using System.Text;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Reporting;

/// <summary>
/// Places in a Markdown document that the lab fills: what stands between a line <c>&lt;!-- lab:NAME --&gt;</c> and the next line
/// <c>&lt;!-- /lab --&gt;</c> is replaced by the part of that name; the rest stays as people wrote it.
/// </summary>
internal static class DocumentBlocks
{
    private const string Begin = "<!-- lab:", Close = " -->", End = "<!-- /lab -->";

    /// <summary>Fills a document. Throws, with one line, on a place without end or a name that <paramref name="part"/> does not know.</summary>
    public static string Fill(string document, Func<string, string?> part)
    {
        var filled = new StringBuilder();
        string? open = null;
        foreach (string line in document.TrimEnd('\n').Split('\n'))
        {
            if (line == End && open is not null)
            {
                open = null;
            }
            else if (open is null && line.StartsWith(Begin, StringComparison.Ordinal) && line.EndsWith(Close, StringComparison.Ordinal))
            {
                open = line[Begin.Length..^Close.Length];
                filled.Append(line).Append("\n\n").Append(part(open) ?? throw new LabException($"the document asks for '{open}': there are verdicts, machine, goals, failures and C1 to C6")).Append('\n');
            }

            if (open is null)
            {
                filled.Append(line).Append('\n');
            }
        }

        return open is null ? filled.ToString() : throw new LabException($"the document's place '{open}' has no end: {End}");
    }
}
