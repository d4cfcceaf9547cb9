using System.Text;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;

namespace Espalier.Io.Processes;

/// <summary>
/// Tells the service manager how the program is (sd_notify(3)): one datagram to the socket named in NOTIFY_SOCKET. Without that variable,
/// or where the manager does not take it, nothing happens: the program must not depend on its manager.
/// </summary>
public sealed unsafe class ServiceManager : IDisposable
{
    private readonly SafeDescriptor? _descriptor;
    private readonly string _path;

    /// <summary>Takes NOTIFY_SOCKET and WATCHDOG_USEC from the environment.</summary>
    public ServiceManager()
        : this(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID"))
    {
    }

    /// <summary>With the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.</summary>
    public ServiceManager(string? notifySocket, string? watchdogMicroseconds, string? watchdogProcess)
    {
        var invariant = System.Globalization.CultureInfo.InvariantCulture;
        _path = notifySocket ?? "";
        if (_path.Length == 0)
        {
            return;
        }

        _descriptor = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_CLOEXEC, 0));
        bool forUs = string.IsNullOrEmpty(watchdogProcess) || watchdogProcess == Environment.ProcessId.ToString(invariant);
        if (forUs && ulong.TryParse(watchdogMicroseconds, System.Globalization.NumberStyles.None, invariant, out ulong microseconds) && microseconds > 0)
        {
            // sd_watchdog_enabled(3): a notification at half of the interval.
            WatchdogInterval = TimeSpan.FromMicroseconds(microseconds / 2.0);
        }
    }

    /// <summary>How often <see cref="Watchdog"/> is to be called; null = never.</summary>
    public TimeSpan? WatchdogInterval { get; }

    /// <summary>The program is up.</summary>
    public void Ready(string status) => Notify($"READY=1\nSTATUS={status}");

    /// <summary>What the program does now, for <c>systemctl status</c>.</summary>
    public void Status(string status) => Notify($"STATUS={status}");

    /// <summary>The program is alive.</summary>
    public void Watchdog() => Notify("WATCHDOG=1");

    /// <summary>The program stops.</summary>
    public void Stopping() => Notify("STOPPING=1\nSTATUS=stopping");

    /// <inheritdoc/>
    public void Dispose() => _descriptor?.Dispose();

    private void Notify(string state)
    {
        if (_descriptor is null || _descriptor.IsInvalid)
        {
            return;
        }

        sockaddr_un address;
        uint length = UnixSocketAddress.Fill(_path, &address);
        if (length > 0)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(state);
            fixed (byte* data = bytes)
            {
                _ = Libc.sendto(_descriptor, data, (nuint)bytes.Length, Socket.MSG_NOSIGNAL | Socket.MSG_DONTWAIT, &address, length);
            }
        }
    }
}
