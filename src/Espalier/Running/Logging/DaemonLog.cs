using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace Espalier.Running.Logging;

/// <summary>
/// The daemon's log: to standard error, in lines. Until <see cref="Release"/> messages wait, so that a start that fails says one line and not what
/// went well before; at debug level and below nothing waits.
/// </summary>
internal sealed class DaemonLog : IDisposable
{
    private const int LongestQueue = 1024;
    private readonly ConsoleLoggerProvider _provider;
    private readonly LoggerFactory _factory;
    private readonly Lock _lock = new();
    private List<Action>? _waiting;

    /// <summary>Opens the log.</summary>
    internal DaemonLog(LogLevel least)
    {
        var options = new ConsoleLoggerOptions
        {
            FormatterName = LineFormatter.FormatterName,
            LogToStandardErrorThreshold = LogLevel.Trace,
            MaxQueueLength = LongestQueue,
            // A log that nobody reads must not stop the control thread.
            QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite,
        };
        _provider = new ConsoleLoggerProvider(new FixedOptions(options), [new LineFormatter(IsJournal())]);
        _factory = new LoggerFactory([_provider], new LoggerFilterOptions { MinLevel = least });
        _waiting = least <= LogLevel.Debug ? null : [];
    }

    /// <summary>A logger of a category.</summary>
    internal ILogger Create(string category) => new WaitingLogger(this, _factory.CreateLogger(category));

    /// <summary>Writes what waited; from now on messages are written at once.</summary>
    internal void Release()
    {
        lock (_lock)
        {
            _waiting?.ForEach(write => write());
            _waiting = null;
        }
    }

    /// <summary>Writes what is left, but nothing that still waits, and closes.</summary>
    public void Dispose()
    {
        _factory.Dispose();
        _provider.Dispose();
    }

    // systemd.exec(5): JOURNAL_STREAM is device:inode of standard error if that goes to the journal.
    private static bool IsJournal()
    {
        if (Environment.GetEnvironmentVariable("JOURNAL_STREAM") is not { Length: > 0 } stream)
        {
            return false;
        }

        string inode = stream[(stream.IndexOf(':', StringComparison.Ordinal) + 1)..];
        string target = new FileInfo("/proc/self/fd/2").LinkTarget ?? "";
        return target == string.Create(CultureInfo.InvariantCulture, $"socket:[{inode}]");
    }

    private void Write(Action write)
    {
        lock (_lock)
        {
            if (_waiting is null)
            {
                write();
            }
            else if (_waiting.Count < LongestQueue)
            {
                _waiting.Add(write);
            }
        }
    }

    private sealed class WaitingLogger(DaemonLog log, ILogger inner) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (inner.IsEnabled(logLevel))
            {
                log.Write(() => inner.Log(logLevel, eventId, state, exception, formatter));
            }
        }
    }

    private sealed class FixedOptions(ConsoleLoggerOptions options) : IOptionsMonitor<ConsoleLoggerOptions>
    {
        public ConsoleLoggerOptions CurrentValue => options;

        public ConsoleLoggerOptions Get(string? name) => options;

        public IDisposable? OnChange(Action<ConsoleLoggerOptions, string?> listener) => null;
    }
}
