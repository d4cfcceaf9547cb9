using System.Text.Json;
using System.Text.Json.Nodes;

namespace Espalier.Lab.Hosts;

/// <summary>
/// The agent's side of <see cref="RemoteHost"/>: one JSON object a line on standard input is a call, one on standard output its answer.
/// <code>
/// → {"id":1,"call":"TcpSource","arguments":["10.1.0.1","10.2.0.1",40001,5]}
/// ← {"id":1,"result":{…}}    or    {"id":1,"error":"one line"}
/// </code>
/// Calls run side by side; the end of standard input ends the agent and its daemon.
/// </summary>
internal sealed class HostAgent(LocalHost host, TextReader input, TextWriter output)
{
    private readonly Lock _writing = new();

    /// <summary>Serves calls until the input ends.</summary>
    public async Task RunAsync()
    {
        var running = new List<Task>();
        while (await input.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            running.RemoveAll(task => task.IsCompleted);
            running.Add(ServeAsync(line));
        }

        await host.DisposeAsync().ConfigureAwait(false);
    }

    private async Task ServeAsync(string line)
    {
        var call = JsonNode.Parse(line)!.AsObject();
        var answer = new JsonObject { ["id"] = (int)call["id"]! };
        try
        {
            answer["result"] = await InvokeAsync((string)call["call"]!, call["arguments"]!.AsArray()).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            answer["error"] = exception.Message; // the caller throws it again
        }

        lock (_writing)
        {
            output.WriteLine(answer.ToJsonString());
            output.Flush();
        }
    }

    private async Task<JsonNode?> InvokeAsync(string call, JsonArray a)
    {
        string Text(int i) => (string)a[i]!;
        int Number(int i) => (int)a[i]!;
        double Real(int i) => (double)a[i]!;
        switch (call)
        {
            case nameof(ILabHost.ConfigureAsync):
                await host.ConfigureAsync(Text(0), Text(1), Text(2)).ConfigureAwait(false);
                return null;
            case nameof(ILabHost.KeyAsync):
                await host.KeyAsync(a[0].Deserialize<LabAssociation[]>()!, a[1].Deserialize<LabPolicy[]>()!).ConfigureAwait(false);
                return null;
            case nameof(ILabHost.StatAsync): return await host.StatAsync().ConfigureAwait(false);
            default:
                object result = call switch
                {
                    nameof(ILabHost.ProcessIdAsync) => await host.ProcessIdAsync().ConfigureAwait(false),
                    nameof(ILabHost.StartDaemonAsync) => await host.StartDaemonAsync(a[0].Deserialize<string[]>()!, Text(1)).ConfigureAwait(false),
                    nameof(ILabHost.StopDaemonAsync) => await host.StopDaemonAsync().ConfigureAwait(false),
                    nameof(ILabHost.MemoryAsync) => await host.MemoryAsync().ConfigureAwait(false),
                    nameof(ILabHost.StartTcpSinkAsync) => await host.StartTcpSinkAsync(Text(0)).ConfigureAwait(false),
                    nameof(ILabHost.TcpSinkResultAsync) => await host.TcpSinkResultAsync().ConfigureAwait(false),
                    nameof(ILabHost.TcpSourceAsync) => await host.TcpSourceAsync(Text(0), Text(1), Number(2), Real(3)).ConfigureAwait(false),
                    nameof(ILabHost.StartUdpSinkAsync) => await host.StartUdpSinkAsync(Text(0)).ConfigureAwait(false),
                    nameof(ILabHost.UdpSinkResultAsync) => await host.UdpSinkResultAsync().ConfigureAwait(false),
                    nameof(ILabHost.UdpSourceAsync) => await host.UdpSourceAsync(Text(0), Text(1), Number(2), Number(3), Real(4), Real(5)).ConfigureAwait(false),
                    nameof(ILabHost.EchoAsync) => await host.EchoAsync(Text(0), Text(1), Number(2), Number(3)).ConfigureAwait(false),
                    nameof(ILabHost.StartEchoServerAsync) => await host.StartEchoServerAsync(Text(0)).ConfigureAwait(false),
                    _ => throw new LabException($"the agent does not know the call {call}"),
                };
                return JsonSerializer.SerializeToNode(result);
        }
    }
}
