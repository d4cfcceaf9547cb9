using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Espalier.Lab.Traffic;

namespace Espalier.Lab.Hosts;

/// <summary>A host in a network namespace of its own, held and served by an agent process (<see cref="HostAgent"/>).</summary>
internal sealed class RemoteHost : ILabHost, IAsyncDisposable
{
    private readonly Process _agent;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode?>> _pending = new();
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly Task _reading;
    private int _lastId;

    private RemoteHost(Process agent)
    {
        _agent = agent;
        _reading = ReadAsync();
    }

    /// <summary>Starts the agent under `unshare --net`.</summary>
    public static RemoteHost Start()
    {
        var start = new ProcessStartInfo("unshare") { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])["--net", "--kill-child", "--", .. LabProcess.Self, "agent"])
        {
            start.ArgumentList.Add(argument);
        }

        return new RemoteHost(Process.Start(start) ?? throw new LabException("unshare (util-linux) could not be started"));
    }

    /// <inheritdoc/>
    public Task<int> ProcessIdAsync() => CallAsync<int>(nameof(ProcessIdAsync));

    /// <inheritdoc/>
    public Task ConfigureAsync(string link, string outerPrefix, string innerPrefix) =>
        InvokeAsync(nameof(ConfigureAsync), link, outerPrefix, innerPrefix);

    /// <inheritdoc/>
    public Task<int> StartDaemonAsync(string[] command, string controlPath) => CallAsync<int>(nameof(StartDaemonAsync), command, controlPath);

    /// <inheritdoc/>
    public Task<int> StopDaemonAsync() => CallAsync<int>(nameof(StopDaemonAsync));

    /// <inheritdoc/>
    public Task KeyAsync(LabAssociation[] associations, LabPolicy[] policies) => InvokeAsync(nameof(KeyAsync), associations, policies);

    /// <inheritdoc/>
    public async Task<JsonObject> StatAsync() => (await InvokeAsync(nameof(StatAsync)).ConfigureAwait(false))!.AsObject();

    /// <inheritdoc/>
    public Task<ProcessMemory> MemoryAsync() => CallAsync<ProcessMemory>(nameof(MemoryAsync));

    /// <inheritdoc/>
    public Task<int> StartTcpSinkAsync(string address) => CallAsync<int>(nameof(StartTcpSinkAsync), address);

    /// <inheritdoc/>
    public Task<TcpResult> TcpSinkResultAsync() => CallAsync<TcpResult>(nameof(TcpSinkResultAsync));

    /// <inheritdoc/>
    public Task<TcpResult> TcpSourceAsync(string local, string remote, int port, double seconds) =>
        CallAsync<TcpResult>(nameof(TcpSourceAsync), local, remote, port, seconds);

    /// <inheritdoc/>
    public Task<int> StartUdpSinkAsync(string address) => CallAsync<int>(nameof(StartUdpSinkAsync), address);

    /// <inheritdoc/>
    public Task<UdpResult> UdpSinkResultAsync() => CallAsync<UdpResult>(nameof(UdpSinkResultAsync));

    /// <inheritdoc/>
    public Task<UdpResult> UdpSourceAsync(string local, string remote, int port, int size, double packetsPerSecond, double seconds) =>
        CallAsync<UdpResult>(nameof(UdpSourceAsync), local, remote, port, size, packetsPerSecond, seconds);

    /// <inheritdoc/>
    public Task<double[]> EchoAsync(string local, string remote, int port, int count) => CallAsync<double[]>(nameof(EchoAsync), local, remote, port, count);

    /// <inheritdoc/>
    public Task<int> StartEchoServerAsync(string address) => CallAsync<int>(nameof(StartEchoServerAsync), address);

    /// <summary>Ends the agent, its daemon and so its namespace.</summary>
    public async ValueTask DisposeAsync()
    {
        _agent.StandardInput.Close();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            await _agent.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _agent.Kill(entireProcessTree: true);
        }

        await _reading.ConfigureAwait(false);
        _agent.Dispose();
        _writing.Dispose();
    }

    private async Task<T> CallAsync<T>(string call, params object[] arguments) =>
        (await InvokeAsync(call, arguments).ConfigureAwait(false)).Deserialize<T>()!;

    private async Task<JsonNode?> InvokeAsync(string call, params object[] arguments)
    {
        int id = Interlocked.Increment(ref _lastId);
        var answer = new TaskCompletionSource<JsonNode?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[id] = answer;
        var message = new JsonObject
        {
            ["id"] = id,
            ["call"] = call,
            ["arguments"] = new JsonArray([.. arguments.Select(a => JsonSerializer.SerializeToNode(a, a.GetType()))]),
        };
        await _writing.WaitAsync().ConfigureAwait(false);
        await _agent.StandardInput.WriteLineAsync(message.ToJsonString()).ConfigureAwait(false);
        await _agent.StandardInput.FlushAsync().ConfigureAwait(false);
        _writing.Release();
        return await answer.Task.ConfigureAwait(false);
    }

    private async Task ReadAsync()
    {
        while (await _agent.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            var message = JsonNode.Parse(line)!.AsObject();
            if (!_pending.TryRemove((int)message["id"]!, out var answer))
            {
                continue; // an answer nobody waits for any more
            }

            if (message["error"] is { } error)
            {
                answer.SetException(new LabException((string)error!));
            }
            else
            {
                var result = message["result"];
                message.Remove("result");
                answer.SetResult(result);
            }
        }

        foreach (var answer in _pending.Values)
        {
            answer.TrySetException(new LabException("the agent of the second host has ended"));
        }
    }
}
