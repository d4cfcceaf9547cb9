using System.Text;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>The report as one HTML page that needs nothing else: no network, no script.</summary>
internal static class HtmlReport
{
    private const string Style =
        """
        :root{color-scheme:light dark;--ink:#1d2530;--soft:#5b6675;--paper:#fff;--panel:#f5f7f9;--rule:#d9dee5;--good:#12805c;--bad:#b3341e;--plain:#5b6675}
        @media (prefers-color-scheme:dark){:root{--ink:#e7ebf0;--soft:#a2adba;--paper:#14191f;--panel:#1c232b;--rule:#36404d;--good:#43c795;--bad:#ff8a76;--plain:#a2adba}}
        *{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
        h1{font-size:1.9rem;line-height:1.2;margin:.2em 0}h2{font-size:1.35rem;margin:0 0 .3em}h3{font-size:1rem;margin:1.6em 0 .4em}a{color:inherit}
        .soft{color:var(--soft)}section{margin-top:2.5rem;padding-top:1.5rem;border-top:1px solid var(--rule)}.claim{font-weight:700;color:var(--soft);letter-spacing:.04em}
        .verdict{background:var(--panel);border-left:4px solid var(--plain);padding:.7em 1em;margin:.6em 0 1em;border-radius:0 6px 6px 0}.verdict b{text-transform:uppercase;font-size:.8rem;letter-spacing:.05em}
        .holds{border-color:var(--bad)}.does-not-hold{border-color:var(--good)}figure{margin:1.4em 0;overflow-x:auto}figcaption{font-weight:600;margin-bottom:.4em}svg{width:100%;min-width:27rem;max-width:50rem;height:auto;display:block}
        td .soft{white-space:nowrap}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:600;padding:.4em 0}
        th,td{padding:.32em .6em;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}
        .text td,.text th{text-align:left}pre{background:var(--panel);padding:.7em 1em;border-radius:6px;overflow-x:auto;font-size:.85rem}summary{cursor:pointer;margin:.8em 0}.yes{color:var(--good)}.no{color:var(--bad)}
        @media print{body{max-width:none;padding:0}svg{min-width:0}figure,tr,.verdict{break-inside:avoid}pre,.wide{overflow:visible;white-space:pre-wrap}}
        """;

    /// <summary>Writes it.</summary>
    public static string Write(ResultFile results, IReadOnlyList<Section> sections)
    {
        var page = new StringBuilder();
        page.Append($"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>What IPsec in userland costs</title><style>{Style}</style></head><body><header>");
        page.Append("<h1>What IPsec in userland costs</h1><p class=\"soft\">Measured on real programs, both ends on one machine: only ratios within one run count.</p></header><main>");
        Summary(page, sections);
        foreach (var section in sections)
        {
            Write(page, results, section);
        }

        Goals(page, results);
        Ratios(page, results);
        Facts(page, results);
        return page.Append("</main></body></html>\n").ToString();
    }

    private static void Summary(StringBuilder page, IEnumerable<Section> sections)
    {
        page.Append("<div class=\"wide\"><table class=\"text\"><caption>The claims against libipsec, and what the data say</caption><thead><tr><th scope=\"col\">claim</th><th scope=\"col\"></th><th scope=\"col\">verdict</th></tr></thead><tbody>");
        foreach (var s in sections)
        {
            page.Append($"<tr><th scope=\"row\"><a href=\"#{s.Claim}\">{s.Claim}</a></th><td>{Svg.Text(s.Sentence)}</td><td>{Svg.Text(s.Verdict.Word)}</td></tr>");
        }

        page.Append("</tbody></table></div>");
    }

    private static void Write(StringBuilder page, ResultFile results, Section section)
    {
        page.Append($"<section id=\"{section.Claim}\"><div class=\"claim\">{section.Claim}</div><h2>{Svg.Text(section.Sentence)}</h2>");
        page.Append($"<p class=\"verdict {VerdictClass(section.Verdict)}\"><b>{Svg.Text(section.Verdict.Word)}</b><br>{Svg.Text(section.Verdict.Text)}</p>");
        foreach (var figure in section.Figures)
        {
            page.Append($"<figure><figcaption>{Svg.Text(figure.Title)}</figcaption>{figure.Svg}</figure>");
        }

        foreach (string experiment in section.Experiments)
        {
            Table(page, results, section, experiment);
        }

        if (section.Notes.Count > 0)
        {
            page.Append("<details><summary>What was counted, by name</summary><div class=\"wide\"><table class=\"text\"><tbody>");
            page.AppendJoin("", section.Notes.Select(n => $"<tr><th scope=\"row\">{Svg.Text(n.Metric)}</th><td>{Svg.Text(n.Label)}</td><td>{Svg.Text(n.Text)}</td></tr>"));
            page.Append("</tbody></table></div></details>");
        }

        page.Append($"<h3>Again</h3><pre>{Svg.Text(section.Command)}</pre></section>");
    }

    private static string VerdictClass(Verdict verdict) => verdict.Word == "holds" ? "holds" : verdict.Word.StartsWith("does not hold", StringComparison.Ordinal) ? "does-not-hold" : "open";

    private static void Table(StringBuilder page, ResultFile results, Section section, string experiment)
    {
        var metrics = section.Rows(results, experiment);
        string[] labels = [.. metrics.Select(m => m.Label).Distinct().OrderBy(results.Subjects.IndexOf)];
        if (labels.Length == 0)
        {
            return;
        }

        page.Append($"<details open><summary>Figures of the experiment {experiment}</summary><div class=\"wide\"><table><caption>Medians</caption><thead><tr><th scope=\"col\">measure</th>");
        page.AppendJoin("", labels.Select(label => $"<th scope=\"col\">{Svg.Text(label)}</th>")).Append("</tr></thead><tbody>");
        foreach (var metric in metrics.GroupBy(m => (m.Metric, m.Unit)))
        {
            page.Append($"<tr><th scope=\"row\">{Svg.Text(ResultTables.Name(metric.Key.Metric, metric.Key.Unit))}</th>");
            page.AppendJoin("", labels.Select(label => $"<td>{Cell(metric.FirstOrDefault(m => m.Label == label))}</td>")).Append("</tr>");
        }

        page.Append("</tbody></table></div></details>");
    }

    private static string Cell(Measurement? m)
    {
        if (m?.Value is not { } value)
        {
            return "–";
        }

        var estimate = SampleStatistics.MedianOf(m.Present);
        return estimate is { Low: { } low, High: { } high }
            ? $"{m.Bound}{ResultTables.Number(value, m.Unit)}<br><span class=\"soft\">{ResultTables.Number(low)} … {ResultTables.Number(high)}</span>"
            : $"{m.Bound}{ResultTables.Number(value, m.Unit)}";
    }

    private static void Goals(StringBuilder page, ResultFile results)
    {
        GoalRow[] rows = [.. GoalTable.Evaluate(results)];
        if (rows.Length == 0)
        {
            return;
        }

        page.Append("<section id=\"goals\"><h2>Espalier's goals</h2><div class=\"wide\"><table><caption>Medians of paired ratios with 95 % confidence intervals</caption><thead><tr>");
        page.AppendJoin("", GoalRow.Head.Select(head => $"<th scope=\"col\">{head}</th>")).Append("</tr></thead><tbody>");
        foreach (var row in rows)
        {
            string interval = row.Ratio is { Low: { } low, High: { } high } ? $"{ResultTables.Number(low)} … {ResultTables.Number(high)}" : "too few samples";
            page.Append($"<tr><th scope=\"row\">{Svg.Text(row.Measure)}</th>").AppendJoin("", row.Names.Skip(1).Select(name => $"<td>{Svg.Text(name)}</td>"));
            page.Append($"<td>{row.Bound}{ResultTables.Number(row.Ratio.Value)}<br><span class=\"soft\">{interval}</span></td>").AppendJoin("", row.Bounds.Select(bound => $"<td>{bound}</td>"));
            page.Append($"<td>{row.Target}</td><td class=\"{(row.Holds ? "yes" : "no")}\">{row.Outcome}</td></tr>");
        }

        page.Append("</tbody></table></div></section>");
    }

    private static void Ratios(StringBuilder page, ResultFile results)
    {
        var experiments = ResultTables.RatiosWithIntervals(results).GroupBy(ratio => ratio.Experiment).ToArray();
        if (experiments.Length == 0)
        {
            return;
        }

        page.Append($"<section id=\"ratios\"><h2>Ratios to {Ratio.Reference}</h2><p>{Svg.Text(ResultTables.AboutRatios)}</p>");
        foreach (var experiment in experiments)
        {
            page.Append($"<details open><summary>Ratios of the experiment {experiment.Key}</summary><div class=\"wide\"><table><thead><tr>");
            page.AppendJoin("", ResultTables.RatioHead.Select(head => $"<th scope=\"col\">{head}</th>")).Append("</tr></thead><tbody>");
            foreach (string[] row in experiment.Select(ResultTables.RatioRow))
            {
                page.Append($"<tr><th scope=\"row\">{Svg.Text(row[0])}</th>").AppendJoin("", row.Skip(1).Select(cell => $"<td>{Svg.Text(cell)}</td>")).Append("</tr>");
            }

            page.Append("</tbody></table></div></details>");
        }

        page.Append("</section>");
    }

    private static void Facts(StringBuilder page, ResultFile results)
    {
        page.Append("<section id=\"method\"><h2>Machine and method</h2><div class=\"wide\"><table class=\"text\"><tbody>");
        foreach (var (name, value) in Report.Facts(results))
        {
            page.Append($"<tr><th scope=\"row\">{Svg.Text(name)}</th><td>{Svg.Text(value)}</td></tr>");
        }

        page.Append("</tbody></table></div>");
        if (results.Failures.Count + results.Missing.Count > 0)
        {
            page.Append("<h3>What did not work, and what is missing</h3><ul>");
            page.AppendJoin("", results.Failures.Select(x => $"<li>{Svg.Text($"{x.Experiment} {x.Alternation + 1}, {x.Label}: {x.Message}")}</li>"));
            page.AppendJoin("", results.Missing.Select(x => $"<li>{Svg.Text($"{x.Subject}: {x.Message}")}</li>")).Append("</ul>");
        }

        page.Append("</section>");
    }
}
