using Espalier.Ipsec;
using Espalier.Testing;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Server;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>A control server in this process, on a socket of its own, optionally in a network namespace; what it logs is kept.</summary>
internal sealed class ServerHarness : IDisposable, ILogger
{
    private static int s_number;
    private readonly List<string> _log = [];

    public ServerHarness(ControlServerOptions? options = null, NetworkNamespace? network = null, TimeProvider? clock = null)
    {
        string path = options?.Path ?? System.IO.Path.Combine(
            System.IO.Path.GetTempPath(), $"esp{Environment.ProcessId}-{Interlocked.Increment(ref s_number)}.sock");
        Database = new IpsecDatabase { Clock = clock ?? TimeProvider.System };
        Server = new ControlServer(Database, (options ?? new ControlServerOptions { Path = path }) with { Path = path }, this);
        Path = path;
        Server.Start(() => network?.Enter());
    }

    public IpsecDatabase Database { get; }

    public ControlServer Server { get; }

    public string Path { get; }

    public string[] Log
    {
        get
        {
            lock (_log)
            {
                return [.. _log];
            }
        }
    }

    /// <summary>True where some client has subscribed to a group.</summary>
    public bool Listens(XfrmGroup group) => OnLoop(() => ((IXfrmListeners)Server).Has(group));

    public XfrmClient Connect() => new(Path);

    /// <summary>Runs something on the control thread and waits for it.</summary>
    public T OnLoop<T>(Func<T> function)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Server.Loop.Post(() =>
        {
            try
            {
                done.SetResult(function());
            }
            catch (Exception exception)
            {
                done.SetException(exception);
            }
        });
        return done.Task.WaitAsync(TimeSpan.FromSeconds(30)).GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        Server.Dispose();
        Assert.False(File.Exists(Path));
        Assert.True(Server.Loop.Completion.IsCompletedSuccessfully, Server.Loop.Completion.Exception?.ToString());
    }

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_log)
        {
            _log.Add($"{eventId.Id} {formatter(state, exception)} {exception}");
        }
    }

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;
}
