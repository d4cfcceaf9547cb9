using System.Globalization;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Reporting;

/// <summary>One bar, with the interval of its value.</summary>
internal sealed record Bar(string Label, Estimate Value);

/// <summary>Horizontal bars, a subject each, the value written beside.</summary>
internal static class BarChart
{
    private const int Width = Svg.Width, LabelWidth = 170, ValueWidth = 140, BarHeight = 22, Gap = 10, Top = 8;

    /// <summary>Draws it.</summary>
    public static string Draw(string title, string unit, IReadOnlyList<Bar> bars)
    {
        double most = bars.Select(bar => Math.Max(bar.Value.Value, bar.Value.High ?? 0)).Where(double.IsFinite).DefaultIfEmpty(0).Max();
        double scale = most > 0 ? (Width - LabelWidth - ValueWidth) / most : 0;
        int height = Top + (bars.Count * (BarHeight + Gap));
        var svg = Svg.Begin(Width, height, title, Describe(unit, bars));
        for (int i = 0; i < bars.Count; i++)
        {
            var (label, value) = bars[i];
            double y = Top + (i * (BarHeight + Gap)), middle = y + (BarHeight / 2.0);
            double length = double.IsFinite(value.Value) ? value.Value * scale : Width - LabelWidth - ValueWidth;
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{LabelWidth - 8}" y="{Svg.At(middle + 4)}" text-anchor="end">{Svg.Text(label)}</text>""");
            svg.Append(CultureInfo.InvariantCulture, $"""<rect x="{LabelWidth}" y="{Svg.At(y)}" width="{Svg.At(Math.Max(1, length))}" height="{BarHeight}" rx="3" style="fill:{Svg.Colour(label)}"/>""");
            double end = length;
            if (value is { Low: { } low, High: { } high } && double.IsFinite(high))
            {
                svg.Append(CultureInfo.InvariantCulture, $"""<path class="whisker" d="M{Svg.At(LabelWidth + (low * scale))} {Svg.At(middle)}H{Svg.At(LabelWidth + (high * scale))}"/>""");
                end = Math.Max(end, high * scale);
            }

            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{Svg.At(LabelWidth + end + 8)}" y="{Svg.At(middle + 4)}">{ResultTables.Number(value.Value)} {Svg.Text(ResultTables.Words(unit))}</text>""");
        }

        return svg.Append("</svg>").ToString();
    }

    private static string Describe(string unit, IEnumerable<Bar> bars) =>
        string.Join("; ", bars.Select(bar => $"{bar.Label} {ResultTables.Number(bar.Value.Value)} {ResultTables.Words(unit)}"));
}
