using System.Diagnostics;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Hosts;

/// <summary><c>ip monitor route</c>: a line a change.</summary>
internal sealed class RouteEvents : IDisposable
{
    private readonly NetworkNamespace _where;
    private readonly Process _monitor;

    public RouteEvents(NetworkNamespace where)
    {
        _where = where;
        var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true };
        foreach (string argument in new[] { "-n", where.Name, "monitor", "route" })
        {
            start.ArgumentList.Add(argument);
        }

        _monitor = Process.Start(start) ?? throw new InvalidOperationException("ip did not start");
        ReadTo("10.253.");
    }

    /// <summary>All changes so far.</summary>
    public IReadOnlyList<string> Finish() => ReadTo("10.254.");

    public void Dispose()
    {
        if (!_monitor.HasExited)
        {
            _monitor.Kill();
            _monitor.WaitForExit();
        }

        _monitor.Dispose();
    }

    /// <summary>Makes routes as markers until the monitor tells of it.</summary>
    private List<string> ReadTo(string marker)
    {
        List<string> lines = [];
        using var stop = new CancellationTokenSource();
        var marking = Task.Run(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                _where.Ip($"route add blackhole {marker}{i >> 8}.{i & 255} table 9999");
                stop.Token.WaitHandle.WaitOne(50);
            }
        });
        while (_monitor.StandardOutput.ReadLine() is { } line && !line.Contains(marker, StringComparison.Ordinal))
        {
            lines.Add(line);
        }

        stop.Cancel();
        marking.Wait();
        return lines;
    }
}
