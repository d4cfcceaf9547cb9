using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Espalier.Io;
using Espalier.Lab.Subjects;
using Espalier.Lab.Traffic;
using Espalier.Xfrm.Client;

namespace Espalier.Lab.Hosts;

/// <summary>The host whose namespace this process is in.</summary>
internal sealed class LocalHost : ILabHost, IAsyncDisposable
{
    private readonly CancellationTokenSource _ending = new();
    private EspalierDaemon? _daemon;
    private string _controlPath = "";
    private Task<TcpResult>? _tcpSink;
    private Task<UdpResult>? _udpSink;
    private CancellationTokenSource? _udpSinkEnd;

    /// <inheritdoc/>
    public Task<int> ProcessIdAsync() => Task.FromResult(Environment.ProcessId);

    /// <inheritdoc/>
    public Task ConfigureAsync(string link, string outerPrefix, string innerPrefix)
    {
        LabLinks.Configure(link, outerPrefix, innerPrefix);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task<int> StartDaemonAsync(string[] command, string controlPath)
    {
        _controlPath = controlPath;
        _daemon = await EspalierDaemon.StartAsync(command).ConfigureAwait(false);
        return _daemon.ProcessId;
    }

    /// <inheritdoc/>
    public Task<int> StopDaemonAsync() => Daemon.StopAsync();

    /// <inheritdoc/>
    public Task KeyAsync(LabAssociation[] associations, LabPolicy[] policies) => ExplainedAsync(Task.Run(() =>
    {
        LabKeys.Install(_controlPath, associations, policies);
        return true;
    }));

    /// <inheritdoc/>
    public Task<JsonObject> StatAsync() => ExplainedAsync(Task.Run(() => LabKeys.Stat(_controlPath)));

    /// <inheritdoc/>
    public Task<ProcessMemory> MemoryAsync() =>
        Task.FromResult(ProcessMemory.Read(Daemon.ProcessId) ?? throw new LabException("the daemon has ended"));

    /// <inheritdoc/>
    public Task<int> StartTcpSinkAsync(string address)
    {
        var listener = new TcpListener(IPAddress.Parse(address), 0);
        listener.Start(1);
        _tcpSink = Task.Run(async () =>
        {
            using (listener)
            {
                return await TcpTraffic.SinkAsync(listener, _ending.Token).ConfigureAwait(false);
            }
        });
        return Task.FromResult(((IPEndPoint)listener.LocalEndpoint).Port);
    }

    /// <inheritdoc/>
    public Task<TcpResult> TcpSinkResultAsync() => _tcpSink ?? throw new LabException("no TCP sink runs");

    /// <inheritdoc/>
    public Task<TcpResult> TcpSourceAsync(string local, string remote, int port, double seconds) =>
        ExplainedAsync(TcpTraffic.SourceAsync(IPAddress.Parse(local), new IPEndPoint(IPAddress.Parse(remote), port), seconds, _ending.Token));

    /// <inheritdoc/>
    public Task<int> StartUdpSinkAsync(string address)
    {
        var socket = Bound(address);
        var end = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        _udpSinkEnd = end;
        _udpSink = Task.Factory.StartNew(
            () =>
            {
                using (socket)
                {
                    return UdpTraffic.Receive(socket, end.Token);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return Task.FromResult(((IPEndPoint)socket.LocalEndPoint!).Port);
    }

    /// <inheritdoc/>
    public async Task<UdpResult> UdpSinkResultAsync()
    {
        await Task.Delay(300).ConfigureAwait(false); // what is still on its way
        await _udpSinkEnd!.CancelAsync().ConfigureAwait(false);
        var result = await _udpSink!.ConfigureAwait(false);
        _udpSinkEnd.Dispose();
        return result;
    }

    /// <inheritdoc/>
    public Task<UdpResult> UdpSourceAsync(string local, string remote, int port, int size, double packetsPerSecond, double seconds) =>
        ExplainedAsync(Task.Factory.StartNew(
            () => UdpTraffic.Send(IPAddress.Parse(local), new IPEndPoint(IPAddress.Parse(remote), port), size, packetsPerSecond, seconds),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));

    /// <inheritdoc/>
    public Task<double[]> EchoAsync(string local, string remote, int port, int count) => ExplainedAsync(Task.Run(() =>
    {
        using var socket = Bound(local);
        socket.ReceiveTimeout = 1000;
        socket.Connect(IPAddress.Parse(remote), port);
        byte[] datagram = new byte[64];
        var times = new List<double>();
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            datagram[0] = (byte)i;
            socket.Send(datagram);
            do
            {
                socket.Receive(datagram, 0, datagram.Length, SocketFlags.None, out var error);
                if (error == SocketError.Success && datagram[0] == (byte)i)
                {
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                    break;
                }
            }
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < 1);
        }

        return times.ToArray();
    }));

    /// <inheritdoc/>
    public Task<int> StartEchoServerAsync(string address)
    {
        var socket = Bound(address);
        socket.ReceiveTimeout = 100;
        _ = Task.Factory.StartNew(
            () =>
            {
                byte[] datagram = new byte[2048];
                EndPoint peer = new IPEndPoint(IPAddress.Any, 0);
                using (socket)
                {
                    while (!_ending.IsCancellationRequested)
                    {
                        if (socket.Poll(100_000, SelectMode.SelectRead))
                        {
                            int length = socket.ReceiveFrom(datagram, ref peer);
                            socket.SendTo(datagram.AsSpan(0, length), peer);
                        }
                    }
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return Task.FromResult(((IPEndPoint)socket.LocalEndPoint!).Port);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync().ConfigureAwait(false);
        if (_daemon is not null)
        {
            await _daemon.DisposeAsync().ConfigureAwait(false);
        }
    }

    // What fails because the daemon has ended says so, and what the daemon said last.
    private async Task<T> ExplainedAsync<T>(Task<T> work)
    {
        try
        {
            return await work.ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is SocketException or IOException or DeviceException or XfrmException)
        {
            string? ended = _daemon is null ? null : await _daemon.WhyEndedAsync().ConfigureAwait(false);
            throw new LabException(ended ?? exception.Message, exception);
        }
    }

    private EspalierDaemon Daemon => _daemon ?? throw new LabException("no daemon runs");

    private static Socket Bound(string address)
    {
        var local = new IPEndPoint(IPAddress.Parse(address), 0);
        var socket = new Socket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(local);
        return socket;
    }
}
