using System.Globalization;
using System.Text.Json;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Statistics;

/// <summary>SAs and policies as entries of the lists in the <see cref="StatDocument"/>. Names are stable. Control thread, the database frozen.</summary>
internal static class DatabaseEntries
{
    /// <summary>An SA, without its keys.</summary>
    internal static void Write(Utf8JsonWriter json, SecurityAssociation association)
    {
        json.WriteStartObject();
        json.WriteString("spi", association.Id.Spi.ToString());
        json.WriteString("source", Endpoint(association.Source, association.Encapsulation?.SourcePort));
        json.WriteString("destination", Endpoint(association.Id.Destination, association.Encapsulation?.DestinationPort));
        json.WriteNumber("reqid", association.ReqId);
        json.WriteString("state", association.State.ToString().ToLowerInvariant());
        json.WriteBoolean("dying", association.Dying);
        json.WriteString("algorithms", string.Join(", ", association.Algorithms.Select(a => a.IcvBits == 0 ? a.Name : string.Create(CultureInfo.InvariantCulture, $"{a.Name} {a.IcvBits}"))));
        WriteUsage(json, association.Usage);
        json.WriteNumber("outboundSequence", association.OutboundSequence);
        json.WriteNumber("replay", association.ReplayFailures);
        json.WriteNumber("replayWindow", association.ReplayWindowFailures);
        json.WriteNumber("integrity", association.IntegrityFailures);
        json.WriteNumber("pathMtu", association.PathMtu);
        json.WriteEndObject();
    }

    /// <summary>A policy.</summary>
    internal static void Write(Utf8JsonWriter json, SecurityPolicy policy)
    {
        json.WriteStartObject();
        json.WriteString("direction", policy.Direction.ToString().ToLowerInvariant());
        json.WriteString("source", policy.Selector.Source.ToString());
        json.WriteString("destination", policy.Selector.Destination.ToString());
        json.WriteNumber("protocol", policy.Selector.Protocol);
        json.WriteNumber("sourcePort", policy.Selector.SourcePort);
        json.WriteNumber("sourcePortMask", policy.Selector.SourcePortMask);
        json.WriteNumber("destinationPort", policy.Selector.DestinationPort);
        json.WriteNumber("destinationPortMask", policy.Selector.DestinationPortMask);
        json.WriteString("action", policy.Protects ? "protect" : policy.Action.ToString().ToLowerInvariant());
        json.WriteNumber("priority", policy.Priority);
        json.WriteNumber("index", policy.Index);
        WriteUsage(json, policy.Usage);
        json.WriteEndObject();
    }

    private static void WriteUsage(Utf8JsonWriter json, in LifetimeUsage usage)
    {
        json.WriteNumber("packets", usage.Packets);
        json.WriteNumber("bytes", usage.Bytes);
    }

    private static string Endpoint(InternetAddress address, ushort? port) =>
        port is null ? address.ToString()
        : address.Version == IpVersion.IPv6 ? string.Create(CultureInfo.InvariantCulture, $"[{address}]:{port}")
        : string.Create(CultureInfo.InvariantCulture, $"{address}:{port}");
}
