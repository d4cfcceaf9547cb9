using System.Diagnostics;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>tcpdump on a link: what it prints, a line a packet.</summary>
internal sealed class ClearCapture : IDisposable
{
    private readonly Process _tcpdump;
    private readonly List<string> _lines = [];
    private readonly Task _reader;

    public ClearCapture(NetworkNamespace where, string link, string filter)
    {
        Requirement.Tool("tcpdump");
        var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["netns", "exec", where.Name, "tcpdump", "-i", link, "-n", "-p", "-l", "--immediate-mode", .. filter.Split(' ')])
        {
            start.ArgumentList.Add(argument);
        }

        _tcpdump = Process.Start(start) ?? throw new InvalidOperationException("tcpdump did not start");
        while (_tcpdump.StandardError.ReadLine() is { } line && !line.Contains("listening on", StringComparison.Ordinal))
        {
        }

        Assert.False(_tcpdump.HasExited, "tcpdump has ended");
        _reader = Task.Run(() =>
        {
            while (_tcpdump.StandardOutput.ReadLine() is { } line)
            {
                if (line.Length > 0)
                {
                    _lines.Add(line);
                }
            }
        });
    }

    /// <summary>Ends the capture and returns its lines. A marker packet that the test sends last shows that all before it was seen.</summary>
    public IReadOnlyList<string> Finish()
    {
        Command.Run("kill", "-INT", $"{_tcpdump.Id}");
        _tcpdump.WaitForExit();
        _reader.Wait();
        return _lines;
    }

    public void Dispose()
    {
        if (!_tcpdump.HasExited)
        {
            _tcpdump.Kill();
            _tcpdump.WaitForExit();
        }

        _tcpdump.Dispose();
    }
}
