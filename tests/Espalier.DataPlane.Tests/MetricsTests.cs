using System.Diagnostics.Metrics;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Tests;

public sealed class MetricsTests
{
    [Fact]
    public void Instruments_Observed_ReadTheWorkersLongsWithUnits()
    {
        using var pair = new Pair();
        using var host = new DataPlaneHost(
            pair.Left.Database, new DataPlaneDevices(pair.Left.Tunnel, pair.Left.Network, null, null), pair.Left.Local, new DataPlaneOptions(),
            new DiagnosticBatchPool());
        using var metrics = new DataPlaneMetrics(host, pair.Left.Database);
        var outbound = host.Counters.Workers.Single(worker => worker.Name == "outbound");
        outbound.Add(TrafficCounter.OutboundBytes, 1234);
        outbound.Drop(DropReason.OutboundNoSa, 3);
        pair.LeftOut.Usage.Packets = 7;

        var seen = new List<(string Name, string? Unit, long Value, Dictionary<string, object?> Tags)>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, to) =>
        {
            if (instrument.Meter.Name == DataPlaneMetrics.MeterName)
            {
                to.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => seen.Add((instrument.Name, instrument.Unit, value, Copy(tags))));
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => seen.Add((instrument.Name, instrument.Unit, value, Copy(tags))));
        listener.Start();
        listener.RecordObservableInstruments();

        var bytes = seen.Single(one => one.Name == "espalier.outbound.bytes");
        Assert.Equal(("By", 1234L), (bytes.Unit, bytes.Value));
        var drop = seen.Single(one => one.Name == "espalier.drops" && one.Tags["reason"] is "OutboundNoSa");
        Assert.Equal(("{packet}", 3L, "XfrmOutNoStates"), (drop.Unit, drop.Value, drop.Tags["xfrm"]));
        Assert.Equal((int)DropReason.Count - 1, seen.Count(one => one.Name == "espalier.drops"));
        Assert.Equal(2, seen.Single(one => one.Name == "espalier.sa.count").Value);
        Assert.Equal(7, seen.Single(one => one.Name == "espalier.sa.packets" && one.Tags["spi"] is "0x00001000").Value);
        Assert.All(seen, one => Assert.False(string.IsNullOrEmpty(one.Unit)));
    }

    // Every traffic counter is on some instrument.
    [Fact]
    public void Instruments_EveryTrafficCounter_IsPublished()
    {
        using var pair = new Pair();
        using var host = new DataPlaneHost(
            pair.Left.Database, new DataPlaneDevices(pair.Left.Tunnel, pair.Left.Network, null, null), pair.Left.Local, new DataPlaneOptions(),
            new DiagnosticBatchPool());
        using var metrics = new DataPlaneMetrics(host, pair.Left.Database);
        for (TrafficCounter counter = 0; counter < TrafficCounter.Count; counter++)
        {
            host.Counters.Workers[0].Add(counter, 1_000_000 + (int)counter);
        }

        var values = new HashSet<long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, to) =>
        {
            if (instrument.Meter.Name == DataPlaneMetrics.MeterName)
            {
                to.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => values.Add(value));
        listener.Start();
        listener.RecordObservableInstruments();
        for (TrafficCounter counter = 0; counter < TrafficCounter.Count; counter++)
        {
            Assert.Contains(1_000_000 + (int)counter, values);
        }
    }

    private static Dictionary<string, object?> Copy(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var copy = new Dictionary<string, object?>();
        foreach (var tag in tags)
        {
            copy[tag.Key] = tag.Value;
        }

        return copy;
    }
}
