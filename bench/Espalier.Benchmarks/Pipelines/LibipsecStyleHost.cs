using Espalier.Benchmarks.LibipsecStyle;
using Espalier.Io.InMemory;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>An end of the tunnel in libipsec's design: see <see cref="Processor"/>.</summary>
internal sealed class LibipsecStyleHost : ITunnelHost
{
    private readonly Processor _processor;
    private readonly EspContext _receives;

    internal LibipsecStyleHost(HostPlace place, CryptoEngine engine)
    {
        var own = new HostAddress(place.Own.Outer, HostPlace.Port);
        var other = new HostAddress(place.Other.Outer, HostPlace.Port);
        _receives = new EspContext(engine, HostPlace.Key);
        _processor = new Processor(Tunnel, place.Socket, place.Peer);
        _processor.Sas.Add(new LibipsecSa(place.Other.Receives.Value, own, other, 1, false, new EspContext(engine, HostPlace.Key)));
        _processor.Sas.Add(new LibipsecSa(place.Own.Receives.Value, other, own, 1, true, _receives));
        _processor.Policies.Add(new LibipsecPolicy(place.Own.To(place.Other), false, 1));
        _processor.Policies.Add(new LibipsecPolicy(place.Other.To(place.Own), true, 1));
    }

    public MemoryTunnelDevice Tunnel { get; } = new();

    internal long Dropped => _processor.Dropped;

    public void RunOutbound() => _processor.ReadTunnel();

    public void RunInbound() => _processor.ReadSocket();

    /// <summary>When nothing is on its way.</summary>
    public void ForgetReceived() => _receives.ForgetReceived();

    public void Dispose() => _processor.Dispose();
}
