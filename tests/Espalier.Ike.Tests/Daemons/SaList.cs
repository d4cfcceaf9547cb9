using System.Globalization;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>A section of vici's raw output: values and further sections by name.</summary>
internal sealed class RawSection
{
    private readonly Dictionary<string, string> _values = [];

    /// <summary>Sections below this one, in their order.</summary>
    public List<(string Name, RawSection Section)> Sections { get; } = [];

    /// <summary>A value; empty where there is none.</summary>
    public string this[string name]
    {
        get => _values.GetValueOrDefault(name, "");
        set => _values[name] = value;
    }

    /// <summary>A value as a number; 0 where there is none.</summary>
    public long Number(string name) => long.TryParse(this[name], CultureInfo.InvariantCulture, out long value) ? value : 0;

    /// <inheritdoc/>
    public override string ToString() => string.Join(' ', _values.Select(pair => $"{pair.Key}={pair.Value}"));

    /// <summary>Parses <c>{a=1 b {c=[x y]}}</c>, from behind the opening brace; leaves <paramref name="text"/> behind the closing one.</summary>
    public static RawSection Parse(ref ReadOnlySpan<char> text)
    {
        var section = new RawSection();
        while (true)
        {
            text = text.TrimStart();
            if (text.IsEmpty || text[0] == '}')
            {
                text = text.IsEmpty ? text : text[1..];
                return section;
            }

            int end = text.IndexOfAny("={");
            string name = text[..end].Trim().ToString();
            char kind = text[end];
            text = text[(end + 1)..];
            if (kind == '{')
            {
                section.Sections.Add((name, Parse(ref text)));
                continue;
            }

            int stop = End(text);
            section._values[name] = text.StartsWith('[') ? text[1..(stop - 1)].ToString() : text[..stop].ToString();
            text = text[stop..];
        }
    }

    // Where a value ends: lists stand in brackets, and selectors in them may have brackets of their own.
    private static int End(ReadOnlySpan<char> text)
    {
        int depth = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
            if (depth == 0 && (text[i] == ']' && text[0] == '[' || text[i] is ' ' or '}'))
            {
                return text[i] == ']' ? i + 1 : i;
            }
        }

        return text.Length;
    }
}

/// <summary>A CHILD_SA as `swanctl --list-sas --raw` shows it.</summary>
internal sealed record ChildSa(RawSection Raw)
{
    public string Name => Raw["name"];
    public string State => Raw["state"];
    public string SpiIn => Raw["spi-in"];
    public string SpiOut => Raw["spi-out"];
    public bool Encapsulated => Raw["encap"] == "yes";
    public string Encryption => Raw["encr-alg"] + (Raw["encr-keysize"].Length > 0 ? "_" + Raw["encr-keysize"] : "");
    public string Integrity => Raw["integ-alg"];
    public long PacketsIn => Raw.Number("packets-in");
    public long PacketsOut => Raw.Number("packets-out");
    public long BytesIn => Raw.Number("bytes-in");
    public long BytesOut => Raw.Number("bytes-out");

    /// <summary>Seconds since the last packet; null = none yet.</summary>
    public long? UseIn => Raw["use-in"].Length > 0 ? Raw.Number("use-in") : null;

    /// <summary>Seconds since the last packet; null = none yet.</summary>
    public long? UseOut => Raw["use-out"].Length > 0 ? Raw.Number("use-out") : null;
}

/// <summary>An IKE_SA as `swanctl --list-sas --raw` shows it.</summary>
internal sealed record IkeSa(string Name, RawSection Raw)
{
    public string State => Raw["state"];
    public string UniqueId => Raw["uniqueid"];
    public string LocalHost => Raw["local-host"];
    public string RemoteHost => Raw["remote-host"];
    public string RemotePort => Raw["remote-port"];
    public string LocalAddresses => Raw["local-vips"];
    public IReadOnlyList<ChildSa> Children => [.. Raw.Sections.Where(s => s.Name == "child-sas").SelectMany(s => s.Section.Sections).Select(s => new ChildSa(s.Section))];

    /// <summary>All IKE_SAs in what `swanctl --list-sas --raw` printed.</summary>
    public static IReadOnlyList<IkeSa> Parse(string printed)
    {
        var found = new List<IkeSa>();
        foreach (string line in printed.Split('\n').Where(line => line.StartsWith("list-sa event", StringComparison.Ordinal)))
        {
            ReadOnlySpan<char> text = line.AsSpan(line.IndexOf('{', StringComparison.Ordinal) + 1);
            found.AddRange(RawSection.Parse(ref text).Sections.Select(s => new IkeSa(s.Name, s.Section)));
        }

        return found;
    }
}
