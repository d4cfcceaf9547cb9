using Espalier.Io.Tun;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Microsoft.Extensions.Logging.Abstractions;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>Another Espalier on the same host.</summary>
internal sealed class SecondInstance : IDisposable
{
    private readonly RoutedHost _host;
    private readonly IpsecDatabase _database = new();
    private readonly TunDevice _tunnel;
    private readonly RoutingController _controller;

    public SecondInstance(RoutedHost host, RoutingOptions options)
    {
        _host = host;
        (_tunnel, _controller) = host.Host.Run(() =>
        {
            var tunnel = TunDevice.Create(options.TunnelName);
            try
            {
                var controller = new RoutingController(_database, options, NullLogger.Instance);
                controller.Start();
                return (tunnel, controller);
            }
            catch
            {
                tunnel.Dispose();
                throw;
            }
        });
    }

    public void Add(SecurityPolicy policy) => _host.Host.Run(() =>
    {
        using (_database.Freeze())
        {
            Assert.True(_database.Spd.TryAdd(policy));
        }

        _controller.Process();
    });

    public void Dispose()
    {
        _host.Host.Run(_controller.Dispose);
        _tunnel.Dispose();
    }
}
