using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Espalier.Running.Logging;

/// <summary>One line a message: with time and level for people, with the priority that journald reads (sd-daemon(3)) under systemd.</summary>
internal sealed class LineFormatter(bool forJournal) : ConsoleFormatter(FormatterName)
{
    /// <summary>Its name among formatters.</summary>
    internal const string FormatterName = "espalier";

    /// <inheritdoc/>
    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        string message = logEntry.Formatter(logEntry.State, logEntry.Exception).ReplaceLineEndings(" ");
        if (forJournal)
        {
            textWriter.Write($"<{Priority(logEntry.LogLevel)}>");
        }
        else
        {
            textWriter.Write(DateTime.Now.ToString("HH:mm:ss.fff ", CultureInfo.InvariantCulture));
            textWriter.Write(Word(logEntry.LogLevel));
        }

        textWriter.Write(message);
        if (logEntry.Exception is { } exception)
        {
            textWriter.Write($" ({exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}{Where(exception)})");
        }

        textWriter.WriteLine();
    }

    private static string Where(Exception exception) =>
        exception.StackTrace is { } trace ? $" {string.Join(' ', trace.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))}" : "";

    private static int Priority(LogLevel level) => level switch
    {
        LogLevel.Critical => 2,
        LogLevel.Error => 3,
        LogLevel.Warning => 4,
        LogLevel.Information => 6,
        _ => 7,
    };

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Critical => "critical: ",
        LogLevel.Error => "error: ",
        LogLevel.Warning => "warning: ",
        LogLevel.Information => "",
        LogLevel.Debug => "debug: ",
        _ => "trace: ",
    };
}
