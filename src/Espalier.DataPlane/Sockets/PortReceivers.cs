using Espalier.Io.Batches;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>What receives for one local address (0.0.0.0 or :: for all) and UDP port: a socket for each interface. Control thread.</summary>
internal sealed class PortReceivers(IOuterSocketFactory factory, InternetAddress local, ushort port)
{
    private readonly Dictionary<uint, IOuterSocket> _byInterface = [];

    /// <summary>The sockets.</summary>
    public IEnumerable<IOuterSocket> Sockets => _byInterface.Values;

    /// <summary>Where a socket could not be opened, and why; tried again with the next <see cref="Follow"/>.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>Opens sockets for new interfaces, and gives those of interfaces that are gone to <paramref name="gone"/>.</summary>
    public void Follow(IReadOnlyList<LinkInfo> links, List<IOuterSocket> gone)
    {
        Problems.Clear();
        foreach (uint index in _byInterface.Keys.Except(links.Select(link => link.Index)).ToArray())
        {
            _byInterface.Remove(index, out var socket);
            gone.Add(socket!);
        }

        foreach (var link in links.Where(link => !_byInterface.ContainsKey(link.Index)))
        {
            if (factory.OpenReceiver(local, port, link, out var socket) is { } error)
            {
                Problems.Add($"UDP port {port} of {local} on {link.Name}: {error}");
            }
            else if (socket is not null)
            {
                _byInterface.Add(link.Index, socket);
            }
        }
    }
}
