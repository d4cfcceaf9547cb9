using System.Diagnostics;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>
/// A real program that joins the inner networks of a <see cref="Testbed"/>, or what stands in its place. One object is started and stopped many times,
/// each time on a new bed.
/// </summary>
internal abstract class Subject(string name, string variant)
{
    private static readonly TimeSpan _startLimit = TimeSpan.FromSeconds(15);

    private readonly Dictionary<NetHost, LabChild> _children = [];

    /// <summary>What it is: espalier, libipsec, …</summary>
    public string Name { get; } = name;

    /// <summary>Which of its kinds: the crypto engine, for example; empty where there is one kind only.</summary>
    public string Variant { get; } = variant;

    /// <summary>Name and variant, as --subjects takes them.</summary>
    public string Label => Variant.Length == 0 ? Name : $"{Name}:{Variant}";

    /// <summary>The crypto that it does, for comparing with the ceiling of the same: gcm or none.</summary>
    public virtual string Crypto => "gcm";

    /// <summary>Whether it is a variant that claims and goals are about; the others only say what a choice costs.</summary>
    public virtual bool IsMain => true;

    /// <summary>Null if it is here, else what is missing and the command that brings it, in one line.</summary>
    public abstract Task<string?> WhatIsMissingAsync(CancellationToken cancellation);

    /// <summary>Whether it has daemons whose memory can be looked at.</summary>
    public virtual bool HasProcesses => true;

    /// <summary>Whether it allocates and copies by the C library, where uprobes see it.</summary>
    public virtual bool UsesCLibrary => true;

    /// <summary>Whether it can hold more than one SA, so that the experiment `scale` makes sense.</summary>
    public virtual bool Scales => false;

    /// <summary>Version of the program, for the record.</summary>
    public virtual Task<string> VersionAsync(CancellationToken cancellation) => Task.FromResult("");

    /// <summary>Process id of the daemon on a host; null if there is none or it has ended.</summary>
    public int? ProcessId(NetHost host) => _children.TryGetValue(host, out var child) && !child.HasEnded ? child.Id : null;

    /// <summary>Last lines of the daemon on a host.</summary>
    public string LastLines(NetHost host) => _children.TryGetValue(host, out var child) ? child.LastLines : "";

    /// <summary>Starts it on both hosts and returns when packets pass.</summary>
    public async Task StartAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        await StartDaemonsAsync(bed, options, cancellation).ConfigureAwait(false);
        await bed.Moon.WaitForAnswerAsync(bed.Sun, TimeSpan.FromSeconds(20), cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts the daemons and sets up the tunnel.</summary>
    protected abstract Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation);

    /// <summary>Whether the control side still answers (IKE, for the subjects that speak it); null where there is none.</summary>
    public virtual Task<bool?> ControlAnswersAsync(Testbed bed, CancellationToken cancellation) => Task.FromResult<bool?>(null);

    /// <summary>Stops both daemons.</summary>
    public async Task StopAsync()
    {
        foreach (var child in _children.Values)
        {
            await child.DisposeAsync().ConfigureAwait(false);
        }

        _children.Clear();
    }

    /// <summary>Kills both daemons.</summary>
    public void Kill()
    {
        foreach (var child in _children.Values)
        {
            child.Kill();
        }
    }

    /// <summary>Starts the daemon of a host.</summary>
    protected LabChild StartDaemon(NetHost host, StartOptions options, IReadOnlyDictionary<string, string>? environment, params string[] command)
    {
        var child = host.Start(host.Name == "moon" ? options.MoonCage : null, environment, command);
        _children[host] = child;
        return child;
    }

    /// <summary>Waits until the daemon of a host is ready.</summary>
    /// <exception cref="LabException">It has ended, or was not ready in time; the message holds its last lines.</exception>
    protected async Task WaitForStartAsync(NetHost host, string program, Func<Task<bool>> isReady, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (!await isReady().ConfigureAwait(false))
        {
            if (ProcessId(host) is null || clock.Elapsed > _startLimit)
            {
                throw new LabException($"{program} did not start: {LastLines(host)}");
            }

            await Task.Delay(50, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Routes the other host's inner networks into a device, for subjects that do not do it themselves.</summary>
    protected static async Task RouteAsync(NetHost host, NetHost other, string device, CancellationToken cancellation)
    {
        await host.IpBatchAsync(
            $"""
            link set {device} up
            route add {other.InnerPrefix} dev {device} src {host.Inner}
            route add {other.InnerPrefix6} dev {device} src {host.Inner6}

            """, cancellation).ConfigureAwait(false);
    }

    /// <summary>One line for a program that is not there.</summary>
    protected static string? MissingProgram(string program, string package) =>
        Shell.Has(program) ? null : $"{program} is missing: apt-get install {package}";
}

/// <summary>How a subject is started.</summary>
/// <param name="MoonCage">Limits of moon's daemon; null: none.</param>
/// <param name="Associations">SAs each way, of which one carries the traffic.</param>
internal sealed record StartOptions(Cage? MoonCage = null, int Associations = 1);
