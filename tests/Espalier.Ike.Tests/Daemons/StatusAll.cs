using System.Text.RegularExpressions;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>What `ipsec statusall` says of SAs, in the terms of `swanctl --list-sas`.</summary>
internal static partial class StatusAll
{
    /// <summary>All IKE_SAs. Virtual addresses and the peer's port are not among what is printed.</summary>
    public static IReadOnlyList<IkeSa> Parse(string printed)
    {
        var found = new List<IkeSa>();
        var children = new RawSection();
        foreach (string line in printed.Split('\n'))
        {
            if (Ike().Match(line) is { Success: true } ike)
            {
                children = new RawSection();
                var raw = new RawSection { ["state"] = ike.Groups[3].Value, ["uniqueid"] = ike.Groups[2].Value, ["local-host"] = ike.Groups[4].Value, ["remote-host"] = ike.Groups[5].Value };
                raw.Sections.Add(("child-sas", children));
                found.Add(new IkeSa(ike.Groups[1].Value, raw));
            }
            else if (Child().Match(line) is { Success: true } child)
            {
                string encapsulated = child.Groups[4].Length > 0 ? "yes" : "";
                children.Sections.Add((child.Groups[2].Value, new RawSection
                {
                    ["name"] = child.Groups[1].Value,
                    ["state"] = child.Groups[3].Value,
                    ["encap"] = encapsulated,
                    ["spi-in"] = child.Groups[5].Value,
                    ["spi-out"] = child.Groups[6].Value,
                }));
            }
            else if (Traffic().Match(line) is { Success: true } traffic)
            {
                var raw = children.Sections.Single(c => c.Name == traffic.Groups[1].Value).Section;
                string[] names = ["encr-alg", "bytes-in", "packets-in", "use-in", "bytes-out", "packets-out", "use-out"];
                for (int i = 0; i < names.Length; i++)
                {
                    raw[names[i]] = traffic.Groups[i + 2].Value;
                }
            }
        }

        return found;
    }

    [GeneratedRegex(@"^\s*(\S+)\[(\d+)\]: (\w+).*, (\S+)\[.*\]\.\.\.([^\[]+)\[")]
    private static partial Regex Ike();

    [GeneratedRegex(@"^\s*(\S+)\{(\d+)\}:\s+(\w+), TUNNEL, reqid \d+, ESP( in UDP)? SPIs: (\w+)_i (\w+)_o")]
    private static partial Regex Child();

    [GeneratedRegex(@"^\s*\S+\{(\d+)\}:\s+(\S+), (\d+) bytes_i(?: \((\d+) pkts?, (\d+)s ago\))?, (\d+) bytes_o(?: \((\d+) pkts?, (\d+)s ago\))?")]
    private static partial Regex Traffic();
}
