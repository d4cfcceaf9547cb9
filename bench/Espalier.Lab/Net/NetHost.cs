using Espalier.Lab.Hosts;

namespace Espalier.Lab.Net;

/// <summary>One of the two hosts: a named network namespace with an outer address on its veth end and inner ones on lo.</summary>
internal sealed class NetHost(string name, string @namespace, int number, string folder, string? processors)
{
    /// <summary>moon or sun.</summary>
    public string Name { get; } = name;

    /// <summary>Name of the namespace.</summary>
    public string Namespace { get; } = @namespace;

    /// <summary>Folder for the files of programs of this host.</summary>
    public string Folder { get; } = folder;

    /// <summary>The veth end.</summary>
    public string Link { get; } = $"v{name}";

    /// <summary>Address of the veth end, IPv4.</summary>
    public string Outer { get; } = $"192.168.0.{number}";

    /// <summary>Address inside the tunnel, IPv4.</summary>
    public string Inner { get; } = $"10.{number}.0.1";

    /// <summary>What the tunnel carries to this host, IPv4.</summary>
    public string InnerPrefix { get; } = $"10.{number}.0.0/16";

    /// <summary>Address inside the tunnel, IPv6.</summary>
    public string Inner6 { get; } = $"fd0{number}::1";

    /// <summary>What the tunnel carries to this host, IPv6.</summary>
    public string InnerPrefix6 { get; } = $"fd0{number}::/64";

    /// <summary>Command line that runs a program here, on the processors that are this host's.</summary>
    public string[] Command(params string[] command) =>
        ["ip", "netns", "exec", Namespace, .. processors is null ? (string[])[] : ["taskset", "-c", processors], .. command];

    /// <summary>Runs a program that must succeed.</summary>
    public Task<string> RunAsync(CancellationToken cancellation, params string[] command) => Shell.RunAsync(Command(command), cancellation);

    /// <summary>Runs `ip` here.</summary>
    public Task<string> IpAsync(string arguments, CancellationToken cancellation) => Shell.RunAsync($"ip -n {Namespace} {arguments}", cancellation);

    /// <summary>Runs `ip -batch` here.</summary>
    public Task<string> IpBatchAsync(string lines, CancellationToken cancellation) => Shell.RunAsync(["ip", "-n", Namespace, "-batch", "-"], cancellation, lines);

    /// <summary>Starts a program that stays, within <paramref name="cage"/> where there is one.</summary>
    public LabChild Start(Cage? cage, IReadOnlyDictionary<string, string>? environment, params string[] command)
    {
        string[] inside = Command(command);
        return new LabChild(Shell.Start(cage is null ? inside : cage.Command(inside), withInput: false, environment));
    }

    /// <summary>Path of a file of this host.</summary>
    public string File(string name) => Path.Combine(Folder, name);

    /// <summary>Waits until an address of the other host answers.</summary>
    public async Task WaitForAnswerAsync(NetHost other, TimeSpan limit, CancellationToken cancellation)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (!await AnswersAsync(other, cancellation).ConfigureAwait(false))
        {
            if (clock.Elapsed > limit)
            {
                throw new LabException($"no answer through the tunnel within {limit.TotalSeconds:0} s");
            }

            await Task.Delay(50, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>True if the other host's inner address answers one ping within a second.</summary>
    public async Task<bool> AnswersAsync(NetHost other, CancellationToken cancellation) =>
        (await Shell.TryAsync(Command("ping", "-c1", "-W1", "-q", "-I", Inner, other.Inner), cancellation).ConfigureAwait(false)).ExitCode == 0;
}
