using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests;

/// <summary>SAs, policies and flows with short words for what a test says about them.</summary>
internal static class Build
{
    public static readonly InternetAddress Here = Ip("192.0.2.1");
    public static readonly InternetAddress Peer = Ip("192.0.2.2");

    public static InternetAddress Ip(string text) => InternetAddress.Parse(text);

    public static AddressPrefix Net(string text) => AddressPrefix.Parse(text);

    public static SecurityAssociation Sa(
        uint spi, InternetAddress? source = null, InternetAddress? destination = null, uint reqId = 0, ulong addTime = 1,
        SaState state = SaState.Valid, SaFlags flags = 0, TrafficSelector selector = default, EspTransform? transform = null,
        int window = 0, uint sequence = 0, LifetimeLimits? limits = null, uint tfc = 0, byte direction = 0,
        IpsecMode mode = IpsecMode.Tunnel)
    {
        var sa = new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(spi), destination ?? Peer),
            Source = source ?? Here,
            ReqId = reqId,
            Mode = mode,
            Flags = flags,
            Selector = selector,
            Transform = transform ?? (state == SaState.Larval ? null : new NullTransform()),
            Replay = window == 0 ? null : new ReplayWindow(window, (flags & SaFlags.Esn) != 0),
            ReplayWindowSize = window,
            KeyManagerSequence = sequence,
            Limits = limits ?? LifetimeLimits.None,
            TfcPadding = tfc,
            SaDirection = direction,
        };
        sa.State = state;
        sa.Usage.AddTime = addTime;
        return sa;
    }

    public static PolicyTemplate Template(InternetAddress? source = null, InternetAddress? destination = null, uint reqId = 0, uint spi = 0) => new(
        source ?? Here, destination ?? Peer, new Spi(spi), reqId, IpsecMode.Tunnel, 50, false,
        (destination ?? Peer).Version, 0, uint.MaxValue, uint.MaxValue, uint.MaxValue);

    public static TrafficSelector Selector(
        string source, string destination, byte protocol = 0, ushort sourcePort = 0, ushort destinationPort = 0, ushort? sourceMask = null, ushort? destinationMask = null) =>
        new(Net(source), Net(destination), protocol, sourcePort, sourceMask ?? (ushort)(sourcePort == 0 ? 0 : 0xFFFF),
            destinationPort, destinationMask ?? (ushort)(destinationPort == 0 ? 0 : 0xFFFF));

    public static SecurityPolicy Policy(
        string source = "10.1.0.0/16", string destination = "10.2.0.0/16", uint priority = 100, PolicyDirection direction = PolicyDirection.Out,
        PolicyTemplate? template = null, PolicyAction action = PolicyAction.Allow, TrafficSelector? selector = null) => new()
        {
            Selector = selector ?? Selector(source, destination),
            Direction = direction,
            Priority = priority,
            Action = action,
            Templates = template is null ? [] : [template],
        };

    public static FlowKey Flow(
        string source = "10.1.0.1", string destination = "10.2.0.1", byte protocol = 17, ushort sourcePort = 1000, ushort destinationPort = 2000, bool portsKnown = true) =>
        new(Ip(source), Ip(destination), protocol, sourcePort, destinationPort, portsKnown);

    /// <summary>A real transform: AES-128-GCM with a 16-byte ICV, of a key that is the same for every call.</summary>
    public static EspTransform AesGcm(bool esn = false)
    {
        byte[] key = new byte[20];
        for (int i = 0; i < key.Length; i++)
        {
            key[i] = (byte)(i + 1);
        }

        Assert.True(EspTransformFactory.TryCreate(
            [new AlgorithmSpec(AlgorithmKind.Aead, "rfc4106(gcm(aes))", key, 128)], esn, out var transform, out string? error), error);
        return transform!;
    }
}

/// <summary>A transform that encrypts nothing: the ICV is the 64-bit sequence number, twice.</summary>
internal sealed class NullTransform(int ivLength = 8, int icvLength = 16, int cipherBlock = 1) : EspTransform(new EspGeometry(ivLength, icvLength, cipherBlock))
{
    public bool IsDisposed { get; private set; }

    public override bool TrySeal(Span<byte> packet, ulong sequence)
    {
        packet.Slice(8, Geometry.IvLength).Fill(0xEE);
        packet[^Geometry.IcvLength..].Fill((byte)sequence);
        return true;
    }

    public override bool TryOpen(Span<byte> packet, ulong sequence) => packet[^1] == (byte)sequence;

    protected override void Dispose(bool disposing) => IsDisposed = true;
}
