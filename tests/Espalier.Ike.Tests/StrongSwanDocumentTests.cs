using System.Text;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// docs/strongswan.md, typed as it stands there, on two hosts with a /run, /etc and /usr/local of their own; only packages are there already. The right host
/// gets what the document says: the same with addresses, networks and names exchanged.
/// <code>
///  left 10.1.0.1                        right 10.2.0.1
///  eth0 192.0.2.1 ──────── veth ─────── eth0 192.0.2.2
/// </code>
/// </summary>
public sealed class StrongSwanDocumentTests
{
    private static readonly (string Left, string Right)[] Exchanged =
        [("192.0.2.1", "192.0.2.2"), ("10.1.0.0/16", "10.2.0.0/16"), ("10.1.0.1", "10.2.0.1"), ("left.example", "right.example")];

    [Fact]
    public void Document_AsWritten_ThePingArrives()
    {
        Requirements.Need("swanctl", "unshare", "ping");
        string document = File.ReadAllText(Path.Combine(EspalierProgram.Root(), "docs", "strongswan.md"));
        var commands = Commands(document);
        Assert.Contains(commands, command => command.StartsWith("ping ", StringComparison.Ordinal));
        using var left = NetworkNamespace.Create("left");
        using var right = NetworkNamespace.Create("right");
        left.LinkTo(right, "eth0", ["192.0.2.1/24"], ["192.0.2.2/24"]);
        left.Ip("addr add 10.1.0.1/16 dev lo");
        right.Ip("addr add 10.2.0.1/16 dev lo");

        int look = commands.FindIndex(command => command.StartsWith("ping ", StringComparison.Ordinal));
        using var there = new Host(right, [.. commands.Take(look).Select(Mirrored)]);
        using var here = new Host(left, commands);

        // The first packet makes charon negotiate.
        Assert.Matches("3 packets transmitted, [23] received", here.Output);
        Assert.Contains("site: #1, ESTABLISHED", here.Output, StringComparison.Ordinal);
        Assert.Matches("net: #[0-9]+, reqid 1, INSTALLED, TUNNEL, ESP:AES_GCM_16-128", here.Output);
        Assert.Contains("rfc4106(gcm(aes))", here.Output, StringComparison.Ordinal);
        Assert.Contains("out (TUN to ESP)", here.Output, StringComparison.Ordinal);
    }

    /// <summary>The commands behind '#' prompts, with the lines of their here-documents; packages are installed by tests/run.</summary>
    private static List<string> Commands(string document)
    {
        var commands = new List<string>();
        foreach (string block in document.Split("```console\n").Skip(1))
        {
            foreach (string line in block[..block.IndexOf("```", StringComparison.Ordinal)].TrimEnd('\n').Split('\n'))
            {
                if (line.StartsWith("# ", StringComparison.Ordinal))
                {
                    commands.Add(line[2..]);
                }
                else
                {
                    commands[^1] += "\n" + line;
                }
            }
        }

        return [.. commands.Where(command => !command.StartsWith("apt-get ", StringComparison.Ordinal))];
    }

    private static string Mirrored(string command)
    {
        foreach (var (left, right) in Exchanged)
        {
            command = command.Replace(left, "\0", StringComparison.Ordinal).Replace(right, left, StringComparison.Ordinal).Replace("\0", right, StringComparison.Ordinal);
        }

        return command;
    }

    /// <summary>A host with folders of its own, on whose terminal the commands are typed.</summary>
    private sealed class Host : IDisposable
    {
        private readonly Terminal _terminal;

        public Host(NetworkNamespace host, List<string> commands)
        {
            _terminal = new Terminal(host);
            _terminal.Type("""
                mount -t tmpfs none /run && cp -a /etc /run/etc && mount --bind /run/etc /etc && rm -f /etc/swanctl/conf.d/*.conf
                mount -t tmpfs none /usr/local/lib && mount -t tmpfs none /usr/local/bin
                """);
            _terminal.Type($"cd {EspalierProgram.Root()}");
            var output = new StringBuilder();
            foreach (string command in commands)
            {
                output.Append(_terminal.Type(command.EndsWith(" &", StringComparison.Ordinal) ? $"{command[..^2]} > /dev/null 2>> /run/log &" : command));
                WaitFor(command);
            }

            Output = output.ToString();
        }

        public string Output { get; }

        public void Dispose()
        {
            _terminal.Type("kill %2; wait %2; kill %1; wait %1; ip rule | grep -c 4550 | grep -qx 0");
            _terminal.Dispose();
        }

        // A person waits for the prompt, or for 'ready'.
        private void WaitFor(string command)
        {
            string? file = command.StartsWith("espalier run", StringComparison.Ordinal) ? "/run/espalier.sock"
                : command.EndsWith("charon-systemd &", StringComparison.Ordinal) ? "/run/charon.vici" : null;
            if (file is not null)
            {
                _terminal.Type($"for i in $(seq 500); do test -S {file} && break; sleep 0.02; done; test -S {file} || {{ cat /run/log; false; }}");
            }
        }
    }
}
