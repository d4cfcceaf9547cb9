using System.Diagnostics;
using System.Globalization;
using System.Text;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Hosts;

/// <summary>`ip xfrm monitor` behind `espalier exec`, with what it has printed since it was seen to be subscribed.</summary>
public sealed class XfrmMonitor : IDisposable
{
    private const string Marker = "0x0eadbeef";
    private readonly Process _process;
    private readonly StringBuilder _printed = new();
    private int _start;

    /// <summary>Starts it and waits until it prints what happens. <paramref name="words"/> are those after `ip`, e.g. `xfrm monitor acquire`.</summary>
    public XfrmMonitor(NetworkNamespace host, EspalierProgram daemon, string words = "xfrm monitor")
    {
        _process = Shell.Start(["ip", "netns", "exec", host.Name, EspalierProgram.Path, "exec", "--control", daemon.Control, "--",
            "stdbuf", "-oL", "ip", .. words.Split(' ')]);
        _process.OutputDataReceived += (_, line) =>
        {
            lock (_printed)
            {
                _printed.Append(line.Data).Append('\n');
            }
        };
        _process.BeginOutputReadLine();
    }

    /// <summary>For SIGSTOP and the like.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Printed since <see cref="WaitUntilSubscribed"/>.</summary>
    public string Text
    {
        get
        {
            lock (_printed)
            {
                return _printed.ToString(_start, _printed.Length - _start);
            }
        }
    }

    /// <summary>
    /// Waits until the monitor shows SAs: one is added and deleted until it does. What it printed by then is forgotten. Not for monitors of other groups.
    /// </summary>
    public XfrmMonitor WaitUntilSubscribed(EspalierProgram daemon)
    {
        for (int attempt = 0; attempt < 50; attempt++)
        {
            daemon.Exec($"ip xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi {Marker} mode tunnel aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128").Expect();
            daemon.Exec($"ip xfrm state delete src 198.51.100.1 dst 198.51.100.2 proto esp spi {Marker}").Expect();
            if (Wait.For(() => Deleted(Text) > 0, seconds: 0.2))
            {
                // The deletion's own lines end with its selector.
                Assert.True(Wait.For(() => Text[Text.LastIndexOf("Deleted", StringComparison.Ordinal)..].Contains("sel src", StringComparison.Ordinal)));
                lock (_printed)
                {
                    _start = _printed.Length;
                }

                return this;
            }
        }

        Assert.Fail("ip xfrm monitor shows nothing");
        return this;
    }

    /// <summary>Waits until <paramref name="text"/> has been printed <paramref name="times"/> times.</summary>
    public void Expect(string text, int times = 1) =>
        Wait.Until(() => Count(text) >= times, () => $"'{text}' {times} times in:\n{Text}");

    /// <summary>How often <paramref name="text"/> has been printed.</summary>
    public int Count(string text) => Text.Split(text).Length - 1;

    /// <summary>Ends it.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Shell.Run(string.Create(CultureInfo.InvariantCulture, $"kill -CONT {_process.Id}"));
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private static int Deleted(string text)
    {
        int at = text.LastIndexOf("Deleted", StringComparison.Ordinal);
        return at >= 0 && text[at..].Contains($"spi {Marker}", StringComparison.Ordinal) ? 1 : 0;
    }
}
