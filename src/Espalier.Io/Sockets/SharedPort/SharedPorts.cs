using Espalier.Io.Netlink;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>
/// The ports of this host that ESP shares with IKE daemons, and the interfaces from which packets come: all but loopback and our own TUN.
/// Control thread.
/// </summary>
public sealed class SharedPorts : IDisposable
{
    private readonly RouteNetlink _netlink = new();
    private readonly LoopbackRelay _relay;
    private readonly string _tunnelName;
    private readonly List<SharedUdpPort> _ports = [];
    private PortDevice[] _devices;

    private SharedPorts(LoopbackRelay relay, string tunnelName)
    {
        _relay = relay;
        _tunnelName = tunnelName;
        _devices = ReadDevices();
    }

    /// <summary>Reads which interfaces there are; opens no port yet.</summary>
    /// <param name="relayMark">Mark with which packets go back to the daemon; the routing rules let them pass.</param>
    /// <param name="tunnelName">Our TUN, from which nothing of that kind comes.</param>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static SharedPorts Create(uint relayMark, string tunnelName)
    {
        var relay = LoopbackRelay.Open(relayMark);
        try
        {
            return new SharedPorts(relay, tunnelName);
        }
        catch
        {
            relay.Dispose();
            throw;
        }
    }

    /// <summary>Opens a port.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public SharedUdpPort Open(OuterSocketOptions options)
    {
        var port = SharedUdpPort.Open(options, _relay, _devices);
        _ports.Add(port);
        return port;
    }

    /// <summary>To be called when links have changed. True: sockets came or went, so what is polled has changed.</summary>
    public bool FollowLinks()
    {
        var devices = ReadDevices();
        if (devices.AsSpan().SequenceEqual(_devices))
        {
            return false;
        }

        _devices = devices;
        _ports.RemoveAll(static port => port.IsClosed);
        bool changed = false;
        foreach (var port in _ports)
        {
            changed |= port.Follow(devices);
        }

        return changed;
    }

    /// <summary>Closes what is shared by the ports, which are closed before.</summary>
    public void Dispose()
    {
        _netlink.Dispose();
        _relay.Dispose();
    }

    private PortDevice[] ReadDevices() =>
    [
        .. _netlink.GetLinks().Where(link => !link.IsLoopback && link.Name != _tunnelName)
            .Select(static link => new PortDevice(link.Index, link.Name)).OrderBy(static device => device.Index),
    ];
}
