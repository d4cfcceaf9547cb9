using System.Buffers;
using System.Reflection;
using System.Text.Json;
using Espalier.DataPlane;
using Espalier.DataPlane.Counters;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Spd;
using Espalier.Routing;
using Espalier.Running;
using Espalier.Running.Composition;
using Espalier.Xfrm.Server;

namespace Espalier.Statistics;

/// <summary>
/// The document that STAT answers: one JSON object with all counters, zero or not. Lists of SAs and policies end at <see cref="LongestList"/> entries;
/// their counts are whole. Names are stable. Control thread.
/// </summary>
internal sealed class StatDocument(
    RunOptions options, CryptoEngine engine, IpsecDatabase database, RoutingController routing, DataPlaneHost dataPlane, KernelDevices devices, ControlServer control)
{
    /// <summary>Entries of a list at most: the control thread must not be busy for long.</summary>
    internal const int LongestList = 1000;

    private static readonly string[] CounterNames =
        [.. Enumerable.Range(0, (int)TrafficCounter.Count).Select(i => JsonNamingPolicy.CamelCase.ConvertName(((TrafficCounter)i).ToString()))];

    private static readonly string[] DropNames = [.. Enumerable.Range(0, (int)DropReason.Count).Select(i => ((DropReason)i).ToString())];

    private static readonly string[] NearestNames =
        [.. Enumerable.Range(0, (int)DropReason.Count).Select(i => i == 0 ? "" : ((DropReason)i).ToXfrmStatistic().ToString())];

    private readonly long _started = Environment.TickCount64;
    private readonly ArrayBufferWriter<byte> _buffer = new(8192);
    private long _allocated;

    /// <summary>Version of this program.</summary>
    internal static string Version { get; } = typeof(StatDocument).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";

    /// <summary>The document, UTF-8.</summary>
    internal byte[] Write()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        _buffer.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(_buffer))
        {
            json.WriteStartObject();
            WriteProgram(json, before);
            WriteTraffic(json);
            WriteDrops(json);
            WriteKernelDrops(json);
            WriteDatabase(json);
            WriteControl(json);
            WriteNotes(json);
            json.WriteEndObject();
        }

        byte[] document = _buffer.WrittenSpan.ToArray();
        _allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        return document;
    }

    private void WriteProgram(Utf8JsonWriter json, long allocatedBefore)
    {
        json.WriteString("version", Version);
        json.WriteNumber("pid", Environment.ProcessId);
        json.WriteNumber("uptimeSeconds", (Environment.TickCount64 - _started) / 1000);
        json.WriteString("control", options.ControlPath);
        json.WriteNumber("mark", options.Mark);
        json.WriteStartObject("tun");
        json.WriteString("name", devices.Tun.Name);
        json.WriteNumber("mtu", routing.TunnelMtu);
        json.WriteEndObject();
        json.WriteStartObject("crypto");
        json.WriteString("engine", engine.Name);
        json.WriteString("library", engine.Library);
        json.WriteEndObject();
        var memory = ProcessMemory.Read();
        json.WriteStartObject("memory");
        json.WriteNumber("vmRssKiB", memory.VmRss);
        json.WriteNumber("rssAnonKiB", memory.RssAnon);
        json.WriteNumber("vmHwmKiB", memory.VmHwm);
        json.WriteEndObject();
        json.WriteStartObject("runtime");
        // What the daemon allocated for its work; documents like this one, which ask for it, are counted apart.
        long documents = _allocated + GC.GetAllocatedBytesForCurrentThread() - allocatedBefore;
        json.WriteNumber("allocatedBytes", GC.GetTotalAllocatedBytes(precise: true) - documents);
        json.WriteNumber("allocatedForStatistics", documents);
        json.WriteNumber("heapBytes", GC.GetTotalMemory(forceFullCollection: false));
        json.WriteNumber("collections", GC.CollectionCount(0));
        json.WriteBoolean("nativeAot", !System.Runtime.CompilerServices.RuntimeFeature.IsDynamicCodeSupported);
        json.WriteEndObject();
    }

    private void WriteTraffic(Utf8JsonWriter json)
    {
        var counters = dataPlane.Counters;
        json.WriteStartObject("traffic");
        json.WriteNumber("packetsOut", counters.Read(TrafficCounter.OutboundPackets));
        json.WriteNumber("bytesOut", counters.Read(TrafficCounter.OutboundBytes));
        json.WriteNumber("packetsIn", counters.Read(TrafficCounter.InboundPackets));
        json.WriteNumber("bytesIn", counters.Read(TrafficCounter.InboundBytes));
        json.WriteNumber("packetsBypassed", counters.Read(TrafficCounter.BypassedPackets));
        json.WriteNumber("bytesBypassed", counters.Read(TrafficCounter.BypassedBytes));
        json.WriteNumber("ikeRelayed", counters.Read(TrafficCounter.IkeRelayed));
        json.WriteNumber("ikeErrorsRelayed", counters.Read(TrafficCounter.IkeErrorsRelayed));
        json.WriteNumber("ikeErrorsLost", counters.Read(TrafficCounter.IkeErrorsLost));
        json.WriteEndObject();
        json.WriteStartObject("counters");
        for (int i = 0; i < CounterNames.Length; i++)
        {
            json.WriteNumber(CounterNames[i], counters.Read((TrafficCounter)i));
        }

        json.WriteEndObject();
        json.WriteStartArray("workers");
        foreach (var worker in counters.Workers)
        {
            WriteWorker(json, worker);
        }

        json.WriteEndArray();
    }

    private static void WriteWorker(Utf8JsonWriter json, WorkerCounters worker)
    {
        long dropped = 0;
        for (var reason = DropReason.None + 1; reason < DropReason.Count; reason++)
        {
            dropped += worker.Read(reason);
        }

        json.WriteStartObject();
        json.WriteString("name", worker.Name);
        json.WriteNumber("read", worker.Read(TrafficCounter.TunPacketsRead) + worker.Read(TrafficCounter.OuterPacketsRead));
        json.WriteNumber("done", worker.Read(TrafficCounter.OutboundPackets) + worker.Read(TrafficCounter.InboundPackets) + worker.Read(TrafficCounter.BypassedPackets));
        json.WriteNumber("dropped", dropped);
        json.WriteNumber("batches", worker.Read(TrafficCounter.Batches));
        json.WriteEndObject();
    }

    private void WriteDrops(Utf8JsonWriter json)
    {
        var snapshot = dataPlane.Counters.Snapshot();
        json.WriteStartObject("drops");
        for (int i = 1; i < DropNames.Length; i++)
        {
            json.WriteNumber(DropNames[i], snapshot[(DropReason)i]);
        }

        json.WriteEndObject();
        json.WriteStartObject("dropNames");
        for (int i = 1; i < DropNames.Length; i++)
        {
            json.WriteString(DropNames[i], NearestNames[i]);
        }

        json.WriteEndObject();
        json.WriteStartObject("xfrmStatistics");
        foreach (var (name, value) in snapshot.ByXfrmStatistic())
        {
            json.WriteNumber(name, value);
        }

        json.WriteEndObject();
    }

    private void WriteKernelDrops(Utf8JsonWriter json)
    {
        json.WriteStartObject("kernelDrops");
        json.WriteNumber("sockets", dataPlane.SocketKernelDrops);
        json.WriteNumber("tun", devices.Tun.KernelDrops);
        if (routing.Guard.Clear.IsActive)
        {
            var guard = routing.ReadGuardCounters();
            json.WriteNumber("guard", guard.Inbound + guard.Forwarded + guard.Outbound);
            json.WriteNumber("guardInbound", guard.Inbound);
            json.WriteNumber("guardForwarded", guard.Forwarded);
            json.WriteNumber("guardOutbound", guard.Outbound);
        }
        else
        {
            json.WriteNull("guard");
        }

        json.WriteEndObject();
    }

    private void WriteDatabase(Utf8JsonWriter json)
    {
        using var frozen = database.Freeze();
        json.WriteNumber("associationsCount", database.Sad.Count);
        json.WriteStartArray("associations");
        foreach (var association in database.Sad.All.Take(LongestList))
        {
            DatabaseEntries.Write(json, association);
        }

        json.WriteEndArray();
        json.WriteNumber("policiesCount", Enum.GetValues<PolicyDirection>().Sum(database.Spd.Count));
        json.WriteStartArray("policies");
        foreach (var policy in database.Spd.Policies.Take(LongestList))
        {
            DatabaseEntries.Write(json, policy);
        }

        json.WriteEndArray();
    }

    private void WriteControl(Utf8JsonWriter json)
    {
        var counters = control.Counters;
        json.WriteStartObject("controlSocket");
        json.WriteNumber("clients", counters.Clients);
        json.WriteNumber("accepted", counters.Accepted);
        json.WriteNumber("refused", counters.Refused);
        json.WriteNumber("tooMany", counters.TooMany);
        json.WriteNumber("requests", counters.Requests);
        json.WriteNumber("errors", counters.Errors);
        json.WriteNumber("malformed", counters.Malformed);
        json.WriteNumber("notificationsLost", counters.NotificationsLost);
        json.WriteNumber("acquires", counters.Acquires);
        json.WriteNumber("acquireErrors", counters.AcquireErrors);
        json.WriteNumber("expirations", counters.Expirations);
        json.WriteNumber("mappings", counters.Mappings);
        json.WriteNumber("eventsLost", database.Events.Lost);
        json.WriteEndObject();
        json.WriteStartObject("routing");
        json.WriteNumber("prefixes", routing.RoutedPrefixes);
        json.WriteNumber("refusedRoutes", routing.RefusedRoutes);
        json.WriteEndObject();
    }

    private void WriteNotes(Utf8JsonWriter json)
    {
        json.WriteStartArray("notes");
        if (!routing.Guard.Clear.IsActive)
        {
            json.WriteStringValue($"packets that arrive in clear for a protected selector are not dropped: {routing.Guard.Clear.Reason}");
        }

        if (devices.Sockets.ReceiveBufferLimited)
        {
            json.WriteStringValue("SO_RCVBUFFORCE was refused, so net.core.rmem_max bounds the receive buffers");
        }

        if (devices.Sockets.ReceiveOffloadError != 0)
        {
            json.WriteStringValue("the kernel refuses UDP_GRO, so outer packets are taken one by one");
        }

        foreach (string problem in dataPlane.SocketProblems)
        {
            json.WriteStringValue($"not received: {problem}");
        }

        json.WriteEndArray();
    }
}
