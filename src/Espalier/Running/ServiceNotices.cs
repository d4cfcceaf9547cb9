using System.Globalization;
using Espalier.Io.Host;
using Espalier.Running.Composition;

namespace Espalier.Running;

/// <summary>
/// Tells systemd how the daemon is (sd_notify(3)): READY, STATUS, STOPPING, and WATCHDOG where the unit asks for it (sd_watchdog_enabled(3)). Status
/// and watchdog come from the control thread, so that one that hangs is noticed.
/// </summary>
internal sealed class ServiceNotices(Daemon daemon)
{
    private static readonly TimeSpan StatusPeriod = TimeSpan.FromSeconds(30);

    /// <summary>Half of WATCHDOG_USEC, or null where the unit does not ask for a watchdog.</summary>
    internal static TimeSpan? WatchdogPeriod(string? microseconds, string? process)
    {
        bool forUs = string.IsNullOrEmpty(process) || process == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return forUs && ulong.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) && value is > 0 and < long.MaxValue / 10
            ? TimeSpan.FromMicroseconds(value / 2.0)
            : null;
    }

    /// <summary>The daemon serves.</summary>
    internal void Ready()
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NOTIFY_SOCKET")))
        {
            return;
        }

        _ = ServiceNotifier.Notify($"{ServiceNotifier.Ready}\nSTATUS=no SA yet");
        daemon.Loop.Post(() =>
        {
            daemon.Loop.Every(StatusPeriod, () => _ = ServiceNotifier.Notify($"STATUS={daemon.Status()}"));
            if (WatchdogPeriod(Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID")) is { } period)
            {
                daemon.Loop.Every(period, static () => _ = ServiceNotifier.Notify("WATCHDOG=1"));
            }
        });
    }

    /// <summary>The daemon is about to stop.</summary>
    internal static void Stopping() => _ = ServiceNotifier.Notify($"{ServiceNotifier.Stopping}\nSTATUS=stopping");
}
