using System.Globalization;

namespace Espalier.Diagnosis.Checks;

/// <summary>CAP_NET_ADMIN (TUN, rules, routes, nftables, SO_MARK) and CAP_NET_RAW (protocol 50) of this process.</summary>
internal static class RightsCheck
{
    private const int NetAdmin = 12, NetRaw = 13;

    internal static IEnumerable<Finding> Examine(HostView host)
    {
        string? line = host.Lines("/proc/self/status").FirstOrDefault(l => l.StartsWith("CapEff:", StringComparison.Ordinal));
        if (!ulong.TryParse(line?["CapEff:".Length..].Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong effective))
        {
            yield return new Finding(Severity.Warning, "rights", "/proc/self/status does not say which capabilities this process has");
            yield break;
        }

        string[] missing = [.. Missing(effective)];
        yield return missing.Length == 0
            ? new Finding(Severity.Good, "rights", "CAP_NET_ADMIN and CAP_NET_RAW")
            : new Finding(
                Severity.Problem, "rights", $"{string.Join(" and ", missing)} lacking",
                "run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW, or try it inside 'unshare --user --map-root-user --net'");
    }

    private static IEnumerable<string> Missing(ulong effective)
    {
        if ((effective >> NetAdmin & 1) == 0)
        {
            yield return "CAP_NET_ADMIN";
        }

        if ((effective >> NetRaw & 1) == 0)
        {
            yield return "CAP_NET_RAW";
        }
    }
}
