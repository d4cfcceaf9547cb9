using System.Text.Json.Nodes;
using Espalier.Lab.Hosts;
using Espalier.Lab.Traffic;

namespace Espalier.Lab.Quick;

/// <summary>One load of the tour and what came of it.</summary>
/// <param name="Name">What was sent.</param>
/// <param name="Direction">From where to where.</param>
/// <param name="Sent">Packets sent, 0 for TCP.</param>
/// <param name="Received">Packets received, 0 for TCP.</param>
/// <param name="Bytes">Payload bytes received.</param>
/// <param name="Seconds">How long.</param>
internal sealed record QuickLoad(string Name, string Direction, long Sent, long Received, long Bytes, double Seconds)
{
    public static QuickLoad Of(string name, string direction, TcpResult received) =>
        new(name, direction, 0, 0, received.Bytes, received.Seconds);

    public static QuickLoad Of(string name, string direction, UdpResult sent, UdpResult received) =>
        new(name, direction, sent.Packets, received.Packets, received.Bytes, sent.Seconds);
}

/// <summary>One host's daemon over the tour.</summary>
/// <param name="Name">moon or sun.</param>
/// <param name="Before">Resident memory before traffic.</param>
/// <param name="After">Resident memory after all traffic.</param>
/// <param name="Stat">Its counters at the end.</param>
internal sealed record QuickHost(string Name, ProcessMemory Before, ProcessMemory After, JsonObject Stat);

/// <summary>All that the tour saw.</summary>
internal sealed record QuickFindings(
    string Setting, IReadOnlyList<QuickLoad> Loads, double[] RoundTripsMicroseconds, int EchoesSent, IReadOnlyList<QuickHost> Hosts);
