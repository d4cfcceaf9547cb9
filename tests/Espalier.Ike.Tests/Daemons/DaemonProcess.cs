using System.Diagnostics;
using System.Globalization;
using System.Text;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>A daemon in a namespace, started in the foreground; what it prints is kept.</summary>
internal sealed class DaemonProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _printed = new();

    /// <summary>Starts it; <c>ip netns exec</c>, <c>env</c> and <c>espalier exec</c> replace themselves by what they run.</summary>
    public DaemonProcess(NetworkNamespace host, IEnumerable<string> command)
    {
        _process = Shell.Start(["ip", "netns", "exec", host.Name, .. command]);
        DataReceivedEventHandler keep = (_, line) =>
        {
            lock (_printed)
            {
                _printed.Append(line.Data).Append('\n');
            }
        };
        _process.OutputDataReceived += keep;
        _process.ErrorDataReceived += keep;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Its process.</summary>
    public int Id => _process.Id;

    /// <summary>It has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>What it has printed.</summary>
    public string Printed
    {
        get
        {
            lock (_printed)
            {
                return _printed.ToString();
            }
        }
    }

    /// <summary>Processor time that it has used, all threads.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            string stat = File.ReadAllText($"/proc/{Id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            // utime and stime, in ticks of 1/100 s.
            return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)));
        }
    }

    /// <summary>The effective user's number.</summary>
    public int User => int.Parse(
        File.ReadLines($"/proc/{Id}/status").First(l => l.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[2], CultureInfo.InvariantCulture);

    /// <summary>SIGTERM, and waits for its end; false where it has not ended within <paramref name="seconds"/>.</summary>
    public bool Terminate(double seconds = 10)
    {
        Shell.Run(string.Create(CultureInfo.InvariantCulture, $"kill -TERM {Id}"));
        return _process.WaitForExit(TimeSpan.FromSeconds(seconds));
    }

    /// <summary>SIGKILL.</summary>
    public void Kill()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_process.HasExited && !Terminate(3))
        {
            Kill();
        }

        _process.Dispose();
    }
}
