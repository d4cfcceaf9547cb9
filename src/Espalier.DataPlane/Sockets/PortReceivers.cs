using Espalier.Io.Batches;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// What receives for one local address (0.0.0.0 or :: for all) and UDP port: a socket for each interface and inbound worker. Control thread.
/// </summary>
internal sealed class PortReceivers(IOuterSocketFactory factory, InternetAddress local, ushort port, int workers)
{
    private readonly Dictionary<uint, IOuterSocket[]> _byInterface = [];

    /// <summary>The sockets, each with the worker that polls it.</summary>
    public IEnumerable<(IOuterSocket Socket, int Worker)> Sockets =>
        _byInterface.Values.SelectMany(group => group.Select((socket, worker) => (socket, worker)));

    /// <summary>Where a socket could not be opened, and why; tried again with the next <see cref="Follow"/>.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>Opens sockets for new interfaces, and gives those of interfaces that are gone to <paramref name="gone"/>.</summary>
    public void Follow(IReadOnlyList<LinkInfo> links, List<(IOuterSocket Socket, int Worker)> gone)
    {
        Problems.Clear();
        foreach (uint index in _byInterface.Keys.Except(links.Select(link => link.Index)).ToArray())
        {
            _byInterface.Remove(index, out var group);
            gone.AddRange(group!.Select((socket, worker) => (socket, worker)));
        }

        foreach (var link in links.Where(link => !_byInterface.ContainsKey(link.Index)))
        {
            Open(link);
        }
    }

    private void Open(LinkInfo link)
    {
        var group = new List<IOuterSocket>();
        while (group.Count < workers)
        {
            string? error = factory.OpenReceiver(local, port, link, out var socket);
            if (socket is null)
            {
                // A part of a group would leave workers without packets. Nothing polls it yet.
                group.ForEach(opened => opened.Dispose());
                if (error is not null)
                {
                    Problems.Add($"UDP port {port} of {local} on {link.Name}: {error}");
                }

                return;
            }

            group.Add(socket);
        }

        _byInterface.Add(link.Index, [.. group]);
    }
}
