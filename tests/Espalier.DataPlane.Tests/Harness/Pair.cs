using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>How the tunnel of a <see cref="Pair"/> is made.</summary>
internal sealed record TunnelSettings
{
    public Suite Suite { get; init; } = Suite.Gcm;

    public bool OuterIPv6 { get; init; }

    public bool Udp { get; init; } = true;

    public int Window { get; init; } = 64;

    public SaFlags Flags { get; init; } = SaFlags.AfUnspec;

    public SaExtraFlags ExtraFlags { get; init; }

    public uint TfcPadding { get; init; }

    public LifetimeLimits Limits { get; init; } = LifetimeLimits.None;

    public TrafficSelector Selector { get; init; }

    public uint ReqId { get; init; } = 1;

    public bool Esn => (Flags & SaFlags.Esn) != 0;
}

/// <summary>
/// Two hosts back to back, a tunnel between them, and policies for the inner networks:
/// <code>
///   10.1.0.0/16, fd01::/16 ── Left 192.0.2.1, 2001:db8::1 ══ Right 192.0.2.2, 2001:db8::2 ── 10.2.0.0/16, fd02::/16
/// </code>
/// 10.1.0.1, fd01::1, 10.2.0.1 and fd02::1 are the hosts' own; other inner addresses are behind them.
/// </summary>
internal sealed class Pair : IDisposable
{
    public const uint LeftToRight = 0x1000;
    public const uint RightToLeft = 0x2000;

    private readonly TunnelSettings _settings;

    public Pair(TunnelSettings? settings = null, bool policies = true, int queueLength = 256, int defaultPathMtu = 1500, int poolBatches = 4,
        IPortRelay? relay = null, int leftWorkers = 1)
    {
        _settings = settings ?? new TunnelSettings();
        Left = new TestHost(poolBatches, queueLength, defaultPathMtu, workers: leftWorkers);
        Right = new TestHost(poolBatches, queueLength, defaultPathMtu, relay: relay);
        Left.Network.Peer = Right.Network;
        Right.Network.Peer = Left.Network;
        foreach (string address in new[] { "192.0.2.1", "2001:db8::1", "10.1.0.1", "fd01::1" })
        {
            Left.Local.Addresses.Add(InternetAddress.Parse(address));
        }

        foreach (string address in new[] { "192.0.2.2", "2001:db8::2", "10.2.0.1", "fd02::1" })
        {
            Right.Local.Addresses.Add(InternetAddress.Parse(address));
        }

        AddTunnel(_settings, LeftToRight, RightToLeft);
        if (policies)
        {
            AddPolicies();
        }
    }

    public TestHost Left { get; }

    public TestHost Right { get; }

    public InternetAddress LeftOuter => InternetAddress.Parse(_settings.OuterIPv6 ? "2001:db8::1" : "192.0.2.1");

    public InternetAddress RightOuter => InternetAddress.Parse(_settings.OuterIPv6 ? "2001:db8::2" : "192.0.2.2");

    /// <summary>Left's SA for sending.</summary>
    public SecurityAssociation LeftOut => Left.Database.Sad.Find(new SaIdentity(new Spi(LeftToRight), RightOuter))!;

    /// <summary>Right's SA for receiving from Left.</summary>
    public SecurityAssociation RightIn => Right.Database.Sad.Find(new SaIdentity(new Spi(LeftToRight), RightOuter))!;

    /// <summary>The socket on which Right receives.</summary>
    public TestOuterSocket RightSocket => Right.Network.Find(RightOuter.Version, (ushort)(_settings.Udp ? 4500 : 0))!;

    public TestOuterSocket LeftSocket => Left.Network.Find(LeftOuter.Version, (ushort)(_settings.Udp ? 4500 : 0))!;

    public void AddTunnel(TunnelSettings settings, uint leftToRight, uint rightToLeft)
    {
        foreach (var host in new[] { Left, Right })
        {
            Add(host, settings, leftToRight, LeftOuter, RightOuter);
            Add(host, settings, rightToLeft, RightOuter, LeftOuter);
        }
    }

    public static SecurityAssociation Add(
        TestHost host, TunnelSettings settings, uint spi, InternetAddress source, InternetAddress destination, Action<int>? delay = null)
    {
        var transform = settings.Suite.Transform(settings.Esn);
        var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(spi), destination),
            Source = source,
            State = SaState.Valid,
            ReqId = settings.ReqId,
            Flags = settings.Flags,
            ExtraFlags = settings.ExtraFlags,
            Selector = settings.Selector,
            Limits = settings.Limits,
            TfcPadding = settings.TfcPadding,
            Encapsulation = settings.Udp ? new UdpEncapsulation(4500, 4500, default) : null,
            Algorithms = settings.Suite.Specs(),
            Transform = delay is null ? transform : new DelayingTransform(transform, delay),
            ReplayWindowSize = settings.Window,
            Replay = settings.Window == 0 ? null : new ReplayWindow(settings.Window, settings.Esn),
        };
        using var frozen = host.Database.Freeze();
        Assert.Null(host.Database.Admission?.Invoke(association));
        Assert.True(host.Database.Sad.TryAdd(association));
        return association;
    }

    /// <summary>Policies of both hosts for all traffic between their inner networks.</summary>
    public void AddPolicies()
    {
        foreach (var (left, right) in new[] { ("10.1.0.0/16", "10.2.0.0/16"), ("fd01::/16", "fd02::/16") })
        {
            AddPolicies(Left, left, right, LeftOuter, RightOuter);
            AddPolicies(Right, right, left, RightOuter, LeftOuter);
        }

        AddPolicy(Left, Policy("10.1.0.0/16", "224.0.0.0/4", PolicyDirection.Out, Template(LeftOuter, RightOuter)));
        AddPolicy(Right, Policy("10.1.0.0/16", "224.0.0.0/4", PolicyDirection.Forward, Template(LeftOuter, RightOuter)));
    }

    public void AddPolicies(TestHost host, string own, string other, InternetAddress ownOuter, InternetAddress otherOuter)
    {
        AddPolicy(host, Policy(own, other, PolicyDirection.Out, Template(ownOuter, otherOuter)));
        AddPolicy(host, Policy(other, own, PolicyDirection.In, Template(otherOuter, ownOuter)));
        AddPolicy(host, Policy(other, own, PolicyDirection.Forward, Template(otherOuter, ownOuter)));
    }

    public static SecurityPolicy AddPolicy(TestHost host, SecurityPolicy policy)
    {
        using var frozen = host.Database.Freeze();
        Assert.True(host.Database.Spd.TryAdd(policy), "A policy with this selector exists.");
        return policy;
    }

    public PolicyTemplate Template(InternetAddress source, InternetAddress destination, uint? reqId = null, uint spi = 0, bool optional = false) =>
        new(source, destination, new Spi(spi), reqId ?? _settings.ReqId, IpsecMode.Tunnel, 50, optional, source.Version, 0,
            uint.MaxValue, uint.MaxValue, uint.MaxValue);

    public static SecurityPolicy Policy(
        string source, string destination, PolicyDirection direction, PolicyTemplate? template = null, PolicyAction action = PolicyAction.Allow,
        uint priority = 1000, byte protocol = 0, ushort? destinationPort = null) => new()
        {
            Selector = new TrafficSelector(
                AddressPrefix.Parse(source), AddressPrefix.Parse(destination), protocol, 0, 0,
                destinationPort ?? 0, destinationPort is null ? (ushort)0 : ushort.MaxValue),
            Direction = direction,
            Priority = priority,
            Action = action,
            Templates = template is null ? [] : [template],
        };

    /// <summary>Sends packets from Left's TUN all the way to Right's.</summary>
    public void LeftToRightRun(params byte[][] packets)
    {
        Left.SendFromTun(packets);
        Right.RunInbound();
    }

    /// <summary>One ESP packet of Left, made and caught before it arrives.</summary>
    public byte[] Capture(byte[] inner)
    {
        var peer = Left.Network.Peer;
        Left.Network.Peer = null;
        int before = Left.Network.Sent.Count;
        Left.SendFromTun(inner);
        Left.Network.Peer = peer;
        Assert.Equal(before + 1, Left.Network.Sent.Count);
        return Left.Network.Sent[^1].Packet;
    }

    /// <summary>A packet arrives at Right's socket, and is handled.</summary>
    public void Inject(byte[] packet, InternetAddress? from = null, ushort? fromPort = null, byte trafficClass = 0, InternetAddress? to = null)
    {
        Enqueue(packet, from, fromPort, trafficClass, to);
        Right.RunInbound();
    }

    public void Enqueue(byte[] packet, InternetAddress? from = null, ushort? fromPort = null, byte trafficClass = 0, InternetAddress? to = null) =>
        RightSocket.Inbox.Enqueue(packet, new Io.Batches.PacketSlot
        {
            Remote = from ?? LeftOuter,
            RemotePort = fromPort ?? (ushort)(_settings.Udp ? 4500 : 0),
            Local = to ?? RightOuter,
            TrafficClass = trafficClass,
        });

    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }
}
