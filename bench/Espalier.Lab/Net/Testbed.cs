using System.Globalization;

namespace Espalier.Lab.Net;

/// <summary>
/// Two hosts joined by a veth pair, with nothing on them yet.
/// <code>
///  moon                                               sun
///  lo 10.1.0.1/16 fd01::1 ─ vmoon 192.168.0.1 ═ veth ═ vsun 192.168.0.2 ─ lo 10.2.0.1/16 fd02::1
/// </code>
/// </summary>
internal sealed class Testbed : IAsyncDisposable
{
    private static int _last;

    private Testbed(LabSettings settings)
    {
        string stem = $"{Leftovers.Stem}{Environment.ProcessId}-{Interlocked.Increment(ref _last)}";
        Folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), stem)).FullName;
        var (moon, sun) = settings.Processors;
        Moon = Host("moon", 1, stem, moon);
        Sun = Host("sun", 2, stem, sun);
    }

    /// <summary>The first host: sources run here.</summary>
    public NetHost Moon { get; }

    /// <summary>The second host: sinks run here.</summary>
    public NetHost Sun { get; }

    /// <summary>Both.</summary>
    public NetHost[] Hosts => [Moon, Sun];

    /// <summary>Folder for files of this bed.</summary>
    public string Folder { get; }

    /// <summary>Makes the namespaces, links and addresses.</summary>
    public static async Task<Testbed> CreateAsync(LabSettings settings, CancellationToken cancellation)
    {
        var bed = new Testbed(settings);
        try
        {
            foreach (var host in bed.Hosts)
            {
                await Shell.RunAsync($"ip netns add {host.Namespace}", cancellation).ConfigureAwait(false);
            }

            await Shell.RunAsync(
                $"ip link add {bed.Moon.Link} netns {bed.Moon.Namespace} type veth peer name {bed.Sun.Link} netns {bed.Sun.Namespace}", cancellation).ConfigureAwait(false);
            foreach (var host in bed.Hosts)
            {
                await host.IpBatchAsync(
                    string.Create(CultureInfo.InvariantCulture, $"""
                    link set lo up
                    addr add {host.Inner}/16 dev lo
                    addr add {host.Inner6}/64 dev lo nodad
                    addr add {host.Outer}/24 dev {host.Link}
                    link set {host.Link} txqueuelen {settings.QueueLength} up

                    """), cancellation).ConfigureAwait(false);
            }

            return bed;
        }
        catch
        {
            await bed.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Gives every TUN device of both hosts the same queue length; returns name and MTU of moon's.</summary>
    public async Task<(string? Device, int? Mtu)> EqualiseQueuesAsync(int length, CancellationToken cancellation)
    {
        (string?, int?) found = (null, null);
        foreach (var host in Hosts)
        {
            foreach (string line in (await host.IpAsync("-o link show type tun", cancellation).ConfigureAwait(false)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                string device = words[1].TrimEnd(':');
                await host.IpAsync($"link set {device} txqueuelen {length}", cancellation).ConfigureAwait(false);
                found = host == Moon ? (device, int.Parse(words[Array.IndexOf(words, "mtu") + 1], CultureInfo.InvariantCulture)) : found;
            }
        }

        return found;
    }

    /// <summary>Ends what still runs in the namespaces, then removes them and the folder.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var host in Hosts)
        {
            await Leftovers.RemoveNamespaceAsync(host.Namespace).ConfigureAwait(false);
        }

        Directory.Delete(Folder, recursive: true);
    }

    private NetHost Host(string name, int number, string stem, string? processors) =>
        new(name, $"{stem}-{name}", number, Directory.CreateDirectory(Path.Combine(Folder, name)).FullName, processors);
}
