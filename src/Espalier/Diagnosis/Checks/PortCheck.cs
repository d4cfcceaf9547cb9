using System.Globalization;

namespace Espalier.Diagnosis.Checks;

/// <summary>Who holds the UDP ports of IKE and of encapsulated ESP in this network namespace.</summary>
internal static class PortCheck
{
    private const int IkePort = 500;

    internal static IEnumerable<Finding> Examine(HostView host, ushort port)
    {
        if (port == 0)
        {
            yield return new Finding(Severity.Note, "ports", "no UDP encapsulation asked for: peers behind NAT cannot be reached");
        }
        else
        {
            yield return IsTaken(host, port)
                ? new Finding(
                    Severity.Problem, "ports", $"UDP port {port} is taken",
                    $"stop who holds it ('ss -ulpn sport = :{port}'), start it with 'espalier exec' if it is an IKE daemon, or choose another or none with --encap-port")
                : new Finding(Severity.Good, "ports", $"UDP port {port} is free");
        }

        if (IsTaken(host, IkePort))
        {
            yield return new Finding(
                Severity.Note, "ports", $"UDP port {IkePort} is taken: an IKE daemon runs", "it uses Espalier only if it was started with 'espalier exec'");
        }
    }

    private static bool IsTaken(HostView host, int port)
    {
        // sl, local_address (ADDRESS:PORT in hexadecimal), …
        string suffix = string.Create(CultureInfo.InvariantCulture, $":{port:X4}");
        return host.Lines("/proc/self/net/udp").Concat(host.Lines("/proc/self/net/udp6"))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Any(fields => fields.Length > 1 && fields[1].EndsWith(suffix, StringComparison.Ordinal));
    }
}
