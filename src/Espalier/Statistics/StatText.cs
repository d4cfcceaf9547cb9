using System.Globalization;
using System.Text.Json;

namespace Espalier.Statistics;

/// <summary>Lays out the statistics as plain text: a headed table a subject, numbers right-aligned, zero drops left out.</summary>
internal static class StatText
{
    private static readonly (string Name, string Text)[] KernelDrops =
    [
        ("sockets", "by the kernel, socket queue full"),
        ("tun", "by the kernel, TUN queue full"),
        ("guardInbound", "by nftables, for this host in clear"),
        ("guardForwarded", "by nftables, to be forwarded in clear"),
        ("guardOutbound", "by nftables, about to leave in clear"),
    ];

    /// <summary>Writes the whole text.</summary>
    internal static void Write(JsonElement root, TextWriter output)
    {
        WriteHead(root, output);
        WriteTraffic(root, output);
        WriteDrops(root, output);
        WriteAssociations(root, output);
        WritePolicies(root, output);
        WriteWorkers(root, output);
        foreach (var note in Items(root, "notes"))
        {
            output.WriteLine($"note: {note.GetString()}");
        }
    }

    /// <summary>1234567 as "1 234 567": grouped as in tables of figures, whatever the culture.</summary>
    internal static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', ' ');

    /// <summary>Bytes with a binary unit, three digits.</summary>
    internal static string Bytes(long value)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        double scaled = value;
        int unit = 0;
        for (; scaled >= 1024 && unit < units.Length - 1; unit++)
        {
            scaled /= 1024;
        }

        return unit == 0 ? $"{value} B" : string.Create(CultureInfo.InvariantCulture, $"{scaled:0.0} {units[unit]}");
    }

    /// <summary>Seconds as "3 d 04:05:06".</summary>
    internal static string Duration(long seconds)
    {
        var time = TimeSpan.FromSeconds(seconds);
        string clock = time.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture);
        return time.Days > 0 ? string.Create(CultureInfo.InvariantCulture, $"{time.Days} d {clock}") : clock;
    }

    private static void WriteHead(JsonElement root, TextWriter output)
    {
        var memory = Member(root, "memory");
        var tun = Member(root, "tun");
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"espalier {Text(root, "version")}, process {Number(root, "pid")}, up {Duration(Number(root, "uptimeSeconds"))}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"TUN {Text(tun, "name")}, MTU {Number(tun, "mtu")}; control socket {Text(root, "control")}"));
        var crypto = Member(root, "crypto");
        output.WriteLine($"crypto {Text(crypto, "engine")} ({Text(crypto, "library")})");
        output.WriteLine(
            $"memory {Bytes(Number(memory, "vmRssKiB") * 1024)} resident, {Bytes(Number(memory, "rssAnonKiB") * 1024)} anonymous, {Bytes(Number(memory, "vmHwmKiB") * 1024)} at peak");
        output.WriteLine();
    }

    private static void WriteTraffic(JsonElement root, TextWriter output)
    {
        var traffic = Member(root, "traffic");
        var table = new TextTable("traffic", "packets", "bytes") { RightFrom = 1 };
        table.Add("out (TUN to ESP)", Count(Number(traffic, "packetsOut")), Bytes(Number(traffic, "bytesOut")));
        table.Add("in (ESP to TUN)", Count(Number(traffic, "packetsIn")), Bytes(Number(traffic, "bytesIn")));
        table.Add("out in clear", Count(Number(traffic, "packetsBypassed")), Bytes(Number(traffic, "bytesBypassed")));
        table.Add("IKE, to its daemon", Count(Number(traffic, "ikeRelayed")), "");
        if (Number(traffic, "ikeErrorsRelayed") + Number(traffic, "ikeErrorsLost") != 0)
        {
            table.Add("ICMP errors about IKE, to its daemon", Count(Number(traffic, "ikeErrorsRelayed")), "");
            table.Add("ICMP errors about IKE, lost", Count(Number(traffic, "ikeErrorsLost")), "");
        }

        table.Write(output);
        output.WriteLine();
    }

    private static void WriteDrops(JsonElement root, TextWriter output)
    {
        var names = Member(root, "dropNames");
        var table = new TextTable("dropped", "as the kernel's", "packets") { RightFrom = 2 };
        foreach (var drop in Properties(root, "drops").Where(d => d.Value.GetInt64() != 0))
        {
            table.Add(drop.Name, Text(names, drop.Name), Count(drop.Value.GetInt64()));
        }

        foreach (var (name, text) in KernelDrops.Where(drop => Number(Member(root, "kernelDrops"), drop.Name) != 0))
        {
            table.Add(text, "", Count(Number(Member(root, "kernelDrops"), name)));
        }

        if (table.IsEmpty)
        {
            output.WriteLine("no packet dropped");
        }
        else
        {
            table.Write(output);
        }

        output.WriteLine();
    }

    private static void WriteAssociations(JsonElement root, TextWriter output)
    {
        var table = new TextTable("SPI", "from", "to", "state", "algorithm", "packets", "bytes", "replay", "window", "integrity") { RightFrom = 5 };
        foreach (var sa in Items(root, "associations"))
        {
            table.Add(
                Text(sa, "spi"), Text(sa, "source"), Text(sa, "destination"), Text(sa, "state"), Text(sa, "algorithms"),
                Count(Number(sa, "packets")), Bytes(Number(sa, "bytes")), Count(Number(sa, "replay")), Count(Number(sa, "replayWindow")), Count(Number(sa, "integrity")));
        }

        WriteSection(root, table, "associations", "no SA", output);
    }

    private static void WritePolicies(JsonElement root, TextWriter output)
    {
        var table = new TextTable("policy", "from", "to", "action", "priority", "packets", "bytes") { RightFrom = 4 };
        foreach (var policy in Items(root, "policies"))
        {
            table.Add(
                Text(policy, "direction"), Side(policy, "source"), Side(policy, "destination"), Text(policy, "action"), Count(Number(policy, "priority")),
                Count(Number(policy, "packets")), Bytes(Number(policy, "bytes")));
        }

        WriteSection(root, table, "policies", "no policy", output);
    }

    private static string Side(JsonElement policy, string name) =>
        SelectorText.Side(Text(policy, name), Number(policy, "protocol"), Number(policy, name + "Port"), Number(policy, name + "PortMask"));

    // The lists end at a bound; the count says how many there are.
    private static void WriteSection(JsonElement root, TextTable table, string name, string none, TextWriter output)
    {
        if (table.IsEmpty)
        {
            output.WriteLine(none);
        }
        else
        {
            table.Write(output);
            long more = Number(root, name + "Count") - table.Count;
            if (more > 0)
            {
                output.WriteLine($"… and {Count(more)} more");
            }
        }

        output.WriteLine();
    }

    private static void WriteWorkers(JsonElement root, TextWriter output)
    {
        var table = new TextTable("worker", "read", "done", "dropped", "batches") { RightFrom = 1 };
        foreach (var worker in Items(root, "workers"))
        {
            table.Add(Text(worker, "name"), Count(Number(worker, "read")), Count(Number(worker, "done")), Count(Number(worker, "dropped")), Count(Number(worker, "batches")));
        }

        if (!table.IsEmpty)
        {
            table.Write(output);
        }
    }

    private static JsonElement Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : default;

    private static long Number(JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out long number) ? number : 0;

    private static string Text(JsonElement element, string name) => Member(element, name) is { ValueKind: JsonValueKind.String } value ? value.GetString()! : "";

    private static JsonElement.ArrayEnumerator Items(JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.Array } value ? value.EnumerateArray() : default;

    private static JsonElement.ObjectEnumerator Properties(JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.Object } value ? value.EnumerateObject() : default;
}
