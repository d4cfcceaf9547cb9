using System.Diagnostics;
using System.Text;
using Xunit;

namespace Espalier.Testing;

/// <summary>
/// A shell on a host, in which the commands of a document are typed one after the other. It has a mount namespace of its own, so that what it mounts
/// (a /run, an /etc) is seen by nobody else.
/// </summary>
public sealed class Terminal : IDisposable
{
    private const string End = "---end---";
    private readonly Process _shell;

    /// <summary>Starts bash in <paramref name="host"/>.</summary>
    public Terminal(NetworkNamespace host)
    {
        ArgumentNullException.ThrowIfNull(host);
        var start = new ProcessStartInfo("ip") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in new[] { "netns", "exec", host.Name, "unshare", "-m", "bash" })
        {
            start.ArgumentList.Add(argument);
        }

        _shell = Process.Start(start)!;

        // What the shell itself says of its jobs; what commands say is part of their output.
        _shell.ErrorDataReceived += (_, _) => { };
        _shell.BeginErrorReadLine();
    }

    /// <summary>Types a command, which must succeed, and returns what it printed.</summary>
    public string Type(string command)
    {
        _shell.StandardInput.WriteLine($"{{ {command}\n}} 2>&1; echo \"{End} $?\"");
        _shell.StandardInput.Flush();
        var printed = new StringBuilder();
        while (_shell.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith(End, StringComparison.Ordinal))
            {
                Assert.True(line == $"{End} 0", $"{command}: {line}\n{printed}");
                return printed.ToString();
            }

            printed.Append(line).Append('\n');
        }

        Assert.Fail($"the shell ended at: {command}\n{printed}");
        return "";
    }

    /// <summary>Types the commands one after the other, and returns what they printed.</summary>
    public string Type(IEnumerable<string> commands) => string.Concat(commands.Select(Type));

    /// <summary>Ends the shell; what runs in it was stopped before.</summary>
    public void Dispose()
    {
        _shell.StandardInput.Close();
        Assert.True(_shell.WaitForExit(TimeSpan.FromSeconds(10)));
        _shell.Dispose();
    }
}
