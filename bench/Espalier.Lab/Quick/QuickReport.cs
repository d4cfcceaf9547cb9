using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Espalier.Lab.Quick;

/// <summary>Prints what the tour saw.</summary>
internal static class QuickReport
{
    /// <summary>Prints all tables.</summary>
    public static void Print(IAnsiConsole console, QuickFindings findings, bool jit)
    {
        console.WriteLine();
        console.MarkupLineInterpolated($"[bold]Espalier, quick tour[/]: {findings.Setting}");
        console.Write(Traffic(findings));
        if (findings.RoundTripsMicroseconds.Length > 0)
        {
            double[] sorted = [.. findings.RoundTripsMicroseconds.Order()];
            console.MarkupLineInterpolated(
                $"Round trip of 64 bytes: median {Percentile(sorted, 0.5):N0} µs, 99th percentile {Percentile(sorted, 0.99):N0} µs, {sorted.Length} of {findings.EchoesSent} answered");
        }

        console.Write(Daemons(findings));
        console.Write(Memory(findings, jit));
        console.Write(Drops(findings));
        console.MarkupLine(jit
            ? "[dim]Memory is that of a build that compiles at run time (JIT); the published program (Native AOT) needs far less: see README.[/]"
            : "[dim]Memory is that of the program given by --daemon.[/]");
        console.MarkupLine("[dim]Both ends, generator and sink share this machine's processors: only ratios within one run count.[/]");
    }

    private static Table Traffic(QuickFindings findings)
    {
        var table = new Table().RoundedBorder().Title("Traffic through the tunnel");
        foreach (string head in (string[])["load", "direction"])
        {
            table.AddColumn(head);
        }

        foreach (string head in (string[])["sent", "received", "lost", "Mb/s"])
        {
            table.AddColumn(new TableColumn(head).RightAligned());
        }

        foreach (var load in findings.Loads)
        {
            bool udp = load.Sent > 0;
            table.AddRow(
                load.Name, load.Direction,
                udp ? Number(load.Sent) : "", udp ? Number(load.Received) : $"{Number(load.Bytes / 1e6)} MB",
                udp ? string.Create(CultureInfo.InvariantCulture, $"{100.0 * (load.Sent - load.Received) / load.Sent:0.00} %") : "",
                Number(load.Bytes * 8 / load.Seconds / 1e6));
        }

        return table;
    }

    private static Table Daemons(QuickFindings findings)
    {
        var table = new Table().RoundedBorder().Title("What the daemons carried");
        table.AddColumn("host");
        foreach (string head in (string[])["packets out", "ESP bytes out", "packets in", "inner bytes in"])
        {
            table.AddColumn(new TableColumn(head).RightAligned());
        }

        foreach (var host in findings.Hosts)
        {
            table.AddRow(
                host.Name, Counter(host.Stat, "packetsOut"), Counter(host.Stat, "bytesOut"), Counter(host.Stat, "packetsIn"), Counter(host.Stat, "bytesIn"));
        }

        return table;
    }

    private static Table Memory(QuickFindings findings, bool jit)
    {
        var table = new Table().RoundedBorder().Title(jit ? "Resident memory of the daemons (JIT build)" : "Resident memory of the daemons");
        table.AddColumn("host");
        foreach (string head in (string[])["before the loads", "peak", "after"])
        {
            table.AddColumn(new TableColumn(head).RightAligned());
        }

        foreach (var host in findings.Hosts)
        {
            table.AddRow(host.Name, Mebibytes(host.Before.VmRss), Mebibytes(host.After.VmHwm), Mebibytes(host.After.VmRss));
        }

        return table;
    }

    private static Table Drops(QuickFindings findings)
    {
        var table = new Table().RoundedBorder().Title("Drops by reason");
        table.AddColumn("host").AddColumn("reason").AddColumn(new TableColumn("packets").RightAligned());
        foreach (var host in findings.Hosts)
        {
            foreach (var (reason, count) in DropsOf(host.Stat))
            {
                table.AddRow(host.Name, reason, Number(count));
            }
        }

        if (table.Rows.Count == 0)
        {
            table.AddRow("both", "none", "0");
        }

        return table;
    }

    private static IEnumerable<(string Reason, long Count)> DropsOf(JsonObject stat)
    {
        foreach (var (reason, count) in Counts(stat, "drops"))
        {
            yield return (reason, count);
        }

        foreach (var (queue, count) in Counts(stat, "kernelDrops"))
        {
            switch (queue)
            {
                case "tun": yield return ("by the kernel: TUN queue full", count); break;
                case "sockets": yield return ("by the kernel: socket queue full", count); break;
                case "guard": yield return ("by nftables: in clear for a protected selector", count); break;
            }
        }
    }

    private static IEnumerable<(string Name, long Count)> Counts(JsonObject stat, string section)
    {
        foreach (var (name, count) in stat[section]?.AsObject() ?? [])
        {
            if (count is JsonValue value && value.TryGetValue(out long packets) && packets > 0)
            {
                yield return (name, packets);
            }
        }
    }

    private static string Counter(JsonObject stat, string name) => stat["traffic"]?[name] is { } value ? Number((double)(long)value) : "?";

    private static double Percentile(double[] sorted, double share) => sorted[Math.Min(sorted.Length - 1, (int)(sorted.Length * share))];

    private static string Mebibytes(long kibibytes) => string.Create(CultureInfo.InvariantCulture, $"{kibibytes / 1024.0:0.0} MiB");

    private static string Number(double value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
