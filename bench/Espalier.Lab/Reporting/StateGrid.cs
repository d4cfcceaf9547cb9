using System.Globalization;

namespace Espalier.Lab.Reporting;

/// <summary>A cell of a <see cref="StateGrid"/>: words, and whether they are good; null where there is nothing to say.</summary>
internal sealed record State(string Words, bool Good);

/// <summary>What became of each subject under each condition, in words and colour.</summary>
internal static class StateGrid
{
    private const int Width = Svg.Width, LabelWidth = 150, RowHeight = 30, Top = 26;

    /// <summary>Draws it: a row a condition, a column a subject.</summary>
    public static string Draw(string title, IReadOnlyList<string> rows, IReadOnlyList<string> columns, Func<string, string, State?> state)
    {
        double column = (Width - LabelWidth) / (double)columns.Count;
        string words = string.Join("; ", rows.SelectMany(row => columns.Where(c => state(row, c) is not null).Select(c => $"{row}, {c}: {state(row, c)!.Words}")));
        var svg = Svg.Begin(Width, Top + (rows.Count * RowHeight), title, words);
        for (int c = 0; c < columns.Count; c++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<text class="soft" x="{Svg.At(LabelWidth + ((c + 0.5) * column))}" y="{Top - 10}" text-anchor="middle">{Svg.Text(columns[c])}</text>""");
        }

        for (int r = 0; r < rows.Count; r++)
        {
            int y = Top + (r * RowHeight);
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{LabelWidth - 10}" y="{y + 18}" text-anchor="end">{Svg.Text(rows[r])}</text>""");
            for (int c = 0; c < columns.Count; c++)
            {
                if (state(rows[r], columns[c]) is { } found)
                {
                    double x = LabelWidth + (c * column);
                    svg.Append(CultureInfo.InvariantCulture, $"""<rect class="{(found.Good ? "good" : "bad")}" x="{Svg.At(x + 2)}" y="{y + 2}" width="{Svg.At(column - 4)}" height="{RowHeight - 4}" rx="3"/>""");
                    svg.Append(CultureInfo.InvariantCulture, $"""<text x="{Svg.At(x + (column / 2))}" y="{y + 19}" text-anchor="middle">{Svg.Text(found.Words)}</text>""");
                }
            }
        }

        return svg.Append("</svg>").ToString();
    }
}
