using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;
using Espalier.Lab.Traffic;

namespace Espalier.Lab.Measuring;

/// <summary>One UDP load as both ends saw it.</summary>
internal sealed record UdpLoad(UdpSent Sent, UdpReceived Received);

/// <summary>Traffic between the inner addresses of a bed, by the published generator and sink; from moon to sun where nothing else is said.
/// A datagram that is not there <paramref name="grace"/> after the last was sent is lost.</summary>
internal sealed class Loads(Testbed bed, TimeSpan grace, CancellationToken cancellation)
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(20);

    /// <summary>Sends datagrams at a rate, 0 = as fast as it can. The window begins after <paramref name="warmUp"/> and ends with the load.</summary>
    public async Task<UdpLoad> UdpAsync(int size, double rate, double seconds, double warmUp = 0)
    {
        await using var sink = await ListenerAsync(bed.Sun, "udp-sink", "--at", bed.Sun.Inner, "--warm-up", Text(warmUp), "--seconds", Text(seconds - warmUp)).ConfigureAwait(false);
        var sent = await RunAsync<UdpSent>(
            bed.Moon, seconds, "udp-send", "--from", bed.Moon.Inner, "--to", $"{bed.Sun.Inner}:{sink.Port}", "--size", Text(size), "--rate", Text(rate), "--seconds", Text(seconds)).ConfigureAwait(false);
        return new UdpLoad(sent, await sink.EndAsync<UdpReceived>(sent.Packets, grace, _patience, cancellation).ConfigureAwait(false));
    }

    /// <summary>TCP streams from moon to sun, with <paramref name="bothWays"/> as many back; what came in the window, by direction.</summary>
    public async Task<TcpReceived[]> TcpAsync(int streams, bool bothWays, double warmUp, double seconds)
    {
        (NetHost From, NetHost To)[] ways = bothWays ? [(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)] : [(bed.Moon, bed.Sun)];
        var sinks = new List<Listener>();
        try
        {
            foreach (var (_, to) in ways)
            {
                sinks.Add(await ListenerAsync(to, "tcp-sink", "--at", to.Inner, "--streams", Text(streams), "--warm-up", Text(warmUp), "--seconds", Text(seconds)).ConfigureAwait(false));
            }

            double length = warmUp + seconds + 0.3;
            var sources = ways.Select((way, i) => RunAsync<TcpSent>(
                way.From, length, "tcp-send", "--from", way.From.Inner, "--to", $"{way.To.Inner}:{sinks[i].Port}", "--streams", Text(streams), "--seconds", Text(length))).ToArray();
            var received = sinks.Select(sink => sink.ResultAsync<TcpReceived>(TimeSpan.FromSeconds(length) + _patience, cancellation)).ToArray();
            await Task.WhenAll([.. sources, .. received]).ConfigureAwait(false);
            return await Task.WhenAll(received).ConfigureAwait(false);
        }
        finally
        {
            foreach (var sink in sinks)
            {
                await sink.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Round trips of 64 bytes on a fixed schedule, microseconds; lost ones are infinite.</summary>
    public async Task<double[]> ProbeAsync(int count, double interval)
    {
        await using var echo = await ListenerAsync(bed.Sun, "echo", "--at", bed.Sun.Inner).ConfigureAwait(false);
        var probed = await RunAsync<Probed>(
            bed.Moon, count * interval, "probe", "--from", bed.Moon.Inner, "--to", $"{bed.Sun.Inner}:{echo.Port}", "--count", Text(count), "--interval", Text(interval)).ConfigureAwait(false);
        return [.. probed.Microseconds.Select(time => time ?? double.PositiveInfinity)];
    }

    /// <summary>What a bystander outside of both namespaces feels.</summary>
    public static async Task<Bystander> WatchAsync(double seconds, CancellationToken cancellation) =>
        Parse<Bystander>(await Shell.RunAsync([Published.Traffic, "watch", "--seconds", Text(seconds)], cancellation).ConfigureAwait(false), "watch");

    private async Task<T> RunAsync<T>(NetHost host, double seconds, params string[] action)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(seconds) + _patience);
        try
        {
            return Parse<T>(await Shell.RunAsync(host.Command([Published.Traffic, .. action]), limit.Token).ConfigureAwait(false), action[0]);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new LabException($"{action[0]} did not end: nothing passes through the tunnel any more");
        }
    }

    private async Task<Listener> ListenerAsync(NetHost host, params string[] action)
    {
        var process = Shell.Start(host.Command([Published.Traffic, .. action]), withInput: true);
        string? line = await process.StandardOutput.ReadLineAsync(cancellation).ConfigureAwait(false);
        if (line is null)
        {
            string error = await process.StandardError.ReadToEndAsync(cancellation).ConfigureAwait(false);
            process.Dispose();
            throw new LabException($"{action[0]} did not start: {error.Trim().Split('\n')[0]}");
        }

        return new Listener(process, Parse<Listening>(line, action[0]).Port, action[0]);
    }

    private static T Parse<T>(string line, string action) =>
        JsonSerializer.Deserialize<T>(line, JsonSerializerOptions.Web) ?? throw new LabException($"{action} said nothing");

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>A sink or echo server that runs.</summary>
    private sealed class Listener(Process process, int port, string action) : IAsyncDisposable
    {
        public int Port => port;

        /// <summary>Tells it how many datagrams were sent: it ends when all are there, at the latest after <paramref name="grace"/>. Takes the result.</summary>
        public async Task<T> EndAsync<T>(long sent, TimeSpan grace, TimeSpan patience, CancellationToken cancellation)
        {
            try
            {
                await process.StandardInput.WriteLineAsync(sent.ToString(CultureInfo.InvariantCulture)).ConfigureAwait(false);
                await process.StandardInput.FlushAsync(cancellation).ConfigureAwait(false);
            }
            catch (IOException)
            {
                // It has ended: its result, or that there is none, says so.
            }

            var result = ResultAsync<T>(grace + patience, cancellation);
            await Task.WhenAny(result, Task.Delay(grace, cancellation)).ConfigureAwait(false);
            process.StandardInput.Close();
            return await result.ConfigureAwait(false);
        }

        /// <summary>Waits for its result.</summary>
        public async Task<T> ResultAsync<T>(TimeSpan patience, CancellationToken cancellation)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(patience);
            try
            {
                string? line = await process.StandardOutput.ReadLineAsync(limit.Token).ConfigureAwait(false);
                return Parse<T>(line ?? throw new LabException($"{action} ended without a result"), action);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw new LabException($"{action} had no result in time: nothing passes through the tunnel any more");
            }
        }

        public async ValueTask DisposeAsync()
        {
            process.StandardInput.Close();
            if (!process.WaitForExit(1000))
            {
                process.Kill();
                await process.WaitForExitAsync().ConfigureAwait(false);
            }

            process.Dispose();
        }
    }
}
