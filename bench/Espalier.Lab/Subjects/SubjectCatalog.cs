using Espalier.Lab.Cli;

namespace Espalier.Lab.Subjects;

/// <summary>The subjects there are, by name.</summary>
internal static class SubjectCatalog
{
    /// <summary>Names that --subjects takes; a colon and a variant may follow.</summary>
    public static readonly string[] Names = ["espalier", "libipsec", "openvpn", "wireguard-go", "direct", "ceiling", "xfrm"];

    private static readonly string[] _ceilings = ["gcm", "none", "gcm-plain"];

    /// <summary>Subjects for what --subjects says; all kinds of a name that has no variant.</summary>
    public static async Task<IReadOnlyList<Subject>> ParseAsync(IReadOnlyList<string> words, CancellationToken cancellation)
    {
        var engines = await EspalierSubject.EnginesAsync(cancellation).ConfigureAwait(false);
        var subjects = new List<Subject>();
        foreach (string word in words.Count == 0 ? Names : words)
        {
            string[] parts = word.Split(':', 2);
            string? variant = parts.Length == 2 ? parts[1] : null;
            subjects.AddRange((parts[0], variant) switch
            {
                ("espalier", null) => engines.Select(engine => new EspalierSubject(engine)),
                ("espalier", _) => [new EspalierSubject(variant)],
                ("ceiling", null) => _ceilings.Select(kind => new CeilingSubject(kind)),
                ("ceiling", _) when _ceilings.Contains(variant) => [new CeilingSubject(variant)],
                ("libipsec", null) => [new LibipsecSubject()],
                ("openvpn", null) => [new OpenvpnSubject()],
                ("wireguard-go", null) => [new WireguardGoSubject()],
                ("direct", null) => [new DirectSubject()],
                ("xfrm", null) => [new XfrmSubject()],
                _ => throw new UsageException($"there is no subject '{word}'; there are {string.Join(", ", Names)}, espalier:ENGINE, espalier:jit and ceiling:{string.Join('|', _ceilings)}"),
            });
        }

        return [.. subjects.DistinctBy(subject => subject.Label)];
    }
}
