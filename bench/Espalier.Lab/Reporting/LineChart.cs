using System.Globalization;
using System.Text;

namespace Espalier.Lab.Reporting;

/// <summary>One line; Mark is an x where something happened, written beside.</summary>
internal sealed record Line(string Label, double[] X, double[] Y, double? Mark = null, string MarkText = "");

/// <summary>What goes on from an x on, until the next one.</summary>
internal sealed record Phase(string Name, double From);

/// <summary>Lines over a common axis.</summary>
internal sealed class LineChart(string title, string xName, string yName, IReadOnlyList<Line> lines, bool logX, bool logY)
{
    private const int Width = Svg.Width, Height = 300, Left = 56, Right = 16, Margin = 10, Bottom = 44, LegendRow = 22, LegendColumn = 190, PhaseRow = 18;

    /// <summary>Named above the lines, and divided from each other.</summary>
    public IReadOnlyList<Phase> Phases { get; init; } = [];

    private int Top => Phases.Count > 0 ? Margin + PhaseRow : Margin;

    /// <summary>Draws it.</summary>
    public string Draw()
    {
        var xs = Range(lines.SelectMany(line => line.X), logX);
        var ys = Range(lines.SelectMany(line => line.Y), logY);
        int columns = Width / LegendColumn, legend = ((lines.Count + columns - 1) / columns * LegendRow) + 6;
        var svg = Svg.Begin(Width, Height + legend, title, Describe());
        double X(double value) => Left + (Share(value, xs, logX) * (Width - Left - Right));
        double Y(double value) => Height - Bottom - (Share(value, ys, logY) * (Height - Top - Bottom));
        foreach (double tick in Ticks(ys, logY))
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<path class="grid" d="M{Left} {Svg.At(Y(tick))}H{Width - Right}"/><text class="soft" x="{Left - 6}" y="{Svg.At(Y(tick) + 4)}" text-anchor="end">{Tick(tick)}</text>""");
        }

        foreach (double tick in Ticks(xs, logX))
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<text class="soft" x="{Svg.At(X(tick))}" y="{Height - Bottom + 18}" text-anchor="{(X(tick) > Width - 40 ? "end" : "middle")}">{Tick(tick)}</text>""");
        }

        svg.Append(CultureInfo.InvariantCulture, $"""<text class="soft" x="{Width - Right}" y="{Height - 8}" text-anchor="end">{Svg.Text(xName)}</text><text class="soft" x="{Left + 4}" y="{Top + 12}">{Svg.Text(yName)}</text>""");
        foreach (var phase in Phases)
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<path class="grid" d="M{Svg.At(X(phase.From))} {Margin}V{Height - Bottom}"/><text class="soft" x="{Svg.At(X(phase.From) + 4)}" y="{Margin + 12}">{Svg.Text(phase.Name)}</text>""");
        }

        for (int i = 0; i < lines.Count; i++)
        {
            Draw(svg, lines[i], X, Y);
            Legend(svg, lines[i], (i % columns * LegendColumn) + 12, Height + (i / columns * LegendRow) + 14);
        }

        return svg.Append("</svg>").ToString();
    }

    private void Draw(StringBuilder svg, Line line, Func<double, double> x, Func<double, double> y)
    {
        string dash = Svg.Dash(line.Label, lines.Select(other => other.Label));
        var points = line.X.Zip(line.Y).Where(p => double.IsFinite(p.Second) && (!logY || p.Second > 0) && (!logX || p.First > 0)).Select(p => $"{Svg.At(x(p.First))},{Svg.At(y(p.Second))}");
        svg.Append(CultureInfo.InvariantCulture, $"""<polyline class="line" points="{string.Join(' ', points)}" style="stroke:{Svg.Colour(line.Label)};stroke-dasharray:{(dash.Length == 0 ? "none" : dash)}"/>""");
        if (line.Mark is { } mark)
        {
            svg.Append(CultureInfo.InvariantCulture, $"""<path class="mark" d="M{Svg.At(x(mark))} {Top}V{Height - Bottom}"/><text x="{Svg.At(x(mark) + 5)}" y="{Top + 28}">{Svg.Text(line.MarkText)}</text>""");
        }
    }

    private void Legend(StringBuilder svg, Line line, int x, int y)
    {
        string dash = Svg.Dash(line.Label, lines.Select(other => other.Label));
        svg.Append(CultureInfo.InvariantCulture, $"""<path class="line" d="M{x} {y - 4}h26" style="stroke:{Svg.Colour(line.Label)};stroke-dasharray:{(dash.Length == 0 ? "none" : dash)}"/><text x="{x + 32}" y="{y}">{Svg.Text(line.Label)}</text>""");
    }

    private string Describe() => string.Join("; ", lines.Where(line => line.Y.Length > 0).Select(line =>
        $"{line.Label}: from {ResultTables.Number(line.Y[0])} to {ResultTables.Number(line.Y[^1])}, highest {ResultTables.Number(line.Y.Where(double.IsFinite).DefaultIfEmpty(0).Max())} {yName}"));

    private static (double Low, double High) Range(IEnumerable<double> values, bool log)
    {
        double[] usable = [.. values.Where(v => double.IsFinite(v) && (!log || v > 0))];
        if (usable.Length == 0)
        {
            return (log ? 1 : 0, log ? 10 : 1);
        }

        return log
            ? (Math.Pow(10, Math.Floor(Math.Log10(usable.Min()))), Math.Pow(10, Math.Max(Math.Ceiling(Math.Log10(usable.Max())), Math.Floor(Math.Log10(usable.Min())) + 1)))
            : (Math.Min(0, usable.Min()), Math.Max(usable.Max() * 1.05, 1e-9));
    }

    private static double Share(double value, (double Low, double High) range, bool log) => log
        ? (Math.Log10(value) - Math.Log10(range.Low)) / (Math.Log10(range.High) - Math.Log10(range.Low))
        : (value - range.Low) / (range.High - range.Low);

    private static IEnumerable<double> Ticks((double Low, double High) range, bool log)
    {
        if (log)
        {
            for (double tick = range.Low; tick <= range.High * 1.0001; tick *= 10)
            {
                yield return tick;
            }

            yield break;
        }

        double step = Math.Pow(10, Math.Floor(Math.Log10((range.High - range.Low) / 4)));
        step *= (range.High - range.Low) / step > 10 ? 5 : (range.High - range.Low) / step > 5 ? 2 : 1;
        for (double tick = Math.Ceiling(range.Low / step) * step; tick <= range.High; tick += step)
        {
            yield return tick;
        }
    }

    private static string Tick(double value) => Math.Abs(value) switch
    {
        >= 1e6 => (value / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + " M",
        >= 1000 => value.ToString("N0", CultureInfo.InvariantCulture),
        < 0.005 => "0", // and what is left of adding steps up to it
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
