using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>Policies and SAs with short words for what a test says about them.</summary>
internal static class Build
{
    public static InternetAddress Ip(string text) => InternetAddress.Parse(text);

    public static AddressPrefix Net(string text) => AddressPrefix.Parse(text);

    public static TrafficSelector Selector(
        string source, string destination, byte protocol = 0, ushort sourcePort = 0, ushort sourceMask = 0, ushort destinationPort = 0, ushort destinationMask = 0) =>
        new(Net(source), Net(destination), protocol, sourcePort, sourceMask, destinationPort, destinationMask);

    /// <summary>A policy that protects; with another action or <paramref name="passes"/> one that blocks or lets pass in clear.</summary>
    public static SecurityPolicy Policy(
        PolicyDirection direction, TrafficSelector selector, uint priority = 100, PolicyAction action = PolicyAction.Allow, bool passes = false,
        string peer = "192.168.0.2", bool optional = false) => new()
        {
            Selector = selector,
            Direction = direction,
            Priority = priority,
            Action = action,
            Templates = passes || action == PolicyAction.Block
                ? []
                : [new PolicyTemplate(default, Ip(peer), default, 1, IpsecMode.Tunnel, 50, optional, Ip(peer).Version, 0, uint.MaxValue, uint.MaxValue, uint.MaxValue)],
        };

    public static SecurityPolicy Out(string source, string destination, uint priority = 100) => Policy(PolicyDirection.Out, Selector(source, destination), priority);

    public static SecurityPolicy In(string source, string destination, uint priority = 100) => Policy(PolicyDirection.In, Selector(source, destination), priority);

    public static SecurityAssociation Sa(uint spi, string source, string destination, bool udp = true) => new()
    {
        Id = new SaIdentity(new Spi(spi), Ip(destination)),
        Source = Ip(source),
        Encapsulation = udp ? new UdpEncapsulation(4500, 4500, default) : null,
        Transform = new SizedTransform(),
        State = SaState.Valid,
    };

    /// <summary>The sizes of AES-GCM with a 16-byte ICV; it seals nothing.</summary>
    private sealed class SizedTransform() : EspTransform(new EspGeometry(8, 16))
    {
        public override bool TrySeal(Span<byte> packet, ulong sequence) => true;

        public override bool TryOpen(Span<byte> packet, ulong sequence) => true;

        protected override void Dispose(bool disposing)
        {
        }
    }
}
