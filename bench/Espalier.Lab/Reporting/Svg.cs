using System.Globalization;
using System.Net;
using System.Text;

namespace Espalier.Lab.Reporting;

/// <summary>What the charts share: text, numbers, colours by subject.</summary>
internal static class Svg
{
    /// <summary>Inside each picture, so that it looks the same alone. A page around it may set the class `dark` or `light` on its root.</summary>
    private const string Style =
        """
        <style>
        .chart{--ink:#1d2530;--soft:#5b6675;--grid:#d9dee5;--espalier:#12805c;--libipsec:#c23a22;--openvpn:#a86a00;--wireguard-go:#7446b0;--direct:#6b7480;--ceiling:#1f63b5;--xfrm:#00798c}
        @media (prefers-color-scheme:dark){.chart{--ink:#e7ebf0;--soft:#a2adba;--grid:#36404d;--espalier:#43c795;--libipsec:#ff7d68;--openvpn:#e6ad45;--wireguard-go:#b99af0;--direct:#a3acb8;--ceiling:#71adf7;--xfrm:#4fc3d4}}
        @media print{.chart{--ink:#000;--soft:#444;--grid:#ccc;--espalier:#12805c;--libipsec:#c23a22;--openvpn:#a86a00;--wireguard-go:#7446b0;--direct:#6b7480;--ceiling:#1f63b5;--xfrm:#00798c}}
        .chart text{font:13px system-ui,sans-serif;fill:var(--ink)}.chart .soft{fill:var(--soft)}.chart .grid{stroke:var(--grid);stroke-width:1}
        .chart .line{fill:none;stroke-width:2.2}.chart .whisker{stroke:var(--ink);stroke-width:1.5}.chart .mark{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 3}
        .chart .good{fill:var(--espalier);fill-opacity:.22}.chart .bad{fill:var(--libipsec);fill-opacity:.3}
        </style>
        """;

    /// <summary>Width of every picture, so that text in all of them has one size; small enough to be read on a phone.</summary>
    public const int Width = 600;

    private static readonly string[] _dashes = ["", "7 4", "2 3", "10 3 2 3"];

    /// <summary>Opens a picture with its text alternative.</summary>
    public static StringBuilder Begin(int width, int height, string title, string description)
    {
        string id = Identifier(title);
        return new StringBuilder().Append(CultureInfo.InvariantCulture,
            $"""<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{Text(title)}</title><desc id="{id}-d">{Text(description)}</desc>{Style}""");
    }

    /// <summary>Escaped for XML and HTML.</summary>
    public static string Text(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A coordinate.</summary>
    public static string At(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>Colour of a subject.</summary>
    public static string Colour(string label) => $"var(--{label.Split(':')[0]},var(--ink))";

    /// <summary>Dashes tell variants apart without colour.</summary>
    public static string Dash(string label, IEnumerable<string> all)
    {
        int variant = all.Where(other => other.Split(':')[0] == label.Split(':')[0]).ToList().IndexOf(label);
        return _dashes[Math.Max(0, variant) % _dashes.Length];
    }

    /// <summary>A name for files and anchors.</summary>
    public static string Identifier(string text) => string.Concat(text.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')).Trim('-');
}
