using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// Requests about SAs: the kernel and Espalier answer alike (see <see cref="Comparison"/>). The kernel at hand has no ESP, so it refuses every valid NEWSA;
/// those are compared up to that point, and elsewhere.
/// </summary>
public sealed class SaDifferentialTests
{
    [Fact]
    public void SpiAllocation_OfEveryKind_IsAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1001, 0x1001, flags: Request.Ack),
        Request.AllocSpi(0x2000, 0x2000, "2001:db8::1", "2001:db8::2"),
        Request.AllocSpi(0x3000, 0x3000, change: (ref XfrmUserSpiInfo info) =>
        {
            info.Info.ReqId = 5;
            info.Info.Mode = XfrmValue.ModeTransport;
            info.Info.Flags = 32;
            info.Info.ReplayWindow = 7;
        }),
        Request.AllocSpi(0x3001, 0x3001).WithBytes(XfrmAttribute.SaDirection, 1),
        Request.AllocSpi(0x3002, 0x3001),
        Request.AllocSpi(0x3003, 0x3003, change: (ref XfrmUserSpiInfo info) => info.Info.Id.Protocol = 6),
        Request.AllocSpi(0x3003, 0x13003, change: (ref XfrmUserSpiInfo info) => info.Info.Id.Protocol = XfrmValue.ProtocolIpComp),
        Request.AllocSpi(0x4000, 0x4000, change: (ref XfrmUserSpiInfo info) => info.Info.Sequence = 99),
        Request.WithPayload(XfrmMessage.AllocateSpi, 231),
        Request.SaId(XfrmMessage.GetSa, flags: Get),
        Request.SaId(XfrmMessage.GetSa, spi: 0x3001, flags: Get),
        Request.SaId(XfrmMessage.GetSa, "2001:db8::2", 0x2000, Get),
        Request.Of(XfrmMessage.GetSadInfo, (ref uint flags) => flags = 7, Get),
        Request.Bare(XfrmMessage.GetSa, DumpFlags),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.DeleteSa, spi: 0x1001).WithBytes(XfrmAttribute.Mark, new byte[28]),
        Request.SaId(XfrmMessage.DeleteSa, "2001:db8::2", 0x2000, Get),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 51),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 255),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 255),
        Request.Bare(XfrmMessage.GetSa, DumpFlags));

    [Fact]
    public void SpiAllocation_WithAttributesOfTheSaToCome_IsAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000).With(XfrmAttribute.SetMark, 1u).With(XfrmAttribute.SetMarkMask, 2u),
        Request.AllocSpi(0x1001, 0x1001).With(XfrmAttribute.OffloadDevice, default(XfrmUserOffload)),
        Request.AllocSpi(0x1002, 0x1002).WithBytes(XfrmAttribute.SecurityContext, 8, 0, 0, 0, 0, 0, 0, 0),
        Request.Bare(XfrmMessage.GetSa, DumpFlags));

    // Afterwards the kernel keeps a larval SA without SPI for 30 s, Espalier none.
    [Fact]
    public void SpiAllocation_OfTakenSpi_IsAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1000, 0x1000, "192.0.2.9"),
        Request.AllocSpi(0x1001, 0x1001));

    [Fact]
    public void Dumps_WithFilters_AreAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000, "10.1.1.1", "10.2.1.1"),
        Request.AllocSpi(0x1001, 0x1001, "10.1.2.1", "10.2.1.1"),
        Request.AllocSpi(0x1002, 0x1002, "10.1.2.1", "10.3.1.1"),
        Request.AllocSpi(0x1003, 0x1003, "2001:db8::1", "2001:db8::2"),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.1.2.0", 24, "0.0.0.0", 0, 2)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.1.2.0", 24, "10.2.1.1", 32, 2)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.0.0.0", 8, "0.0.0.0", 0, 0)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 0, "2001:db8::2", 128, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 0, "::", 0, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 129, "::", 0, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.AddressFilter, new byte[11]),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 50),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 51),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 255),
        Request.SaId(XfrmMessage.GetSa, flags: DumpFlags),
        Request.Bare(XfrmMessage.GetSa, DumpFlags | Netlink.Acknowledge));

    [Fact]
    public void LarvalSas_ChangedAndExpired_AreAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1000)),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1001)),
        Ae(XfrmMessage.GetAsyncEvent, 0x1000, 2, Get),
        Ae(XfrmMessage.GetAsyncEvent, 0x1001, 2, Get),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack | Netlink.Replace).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1001, 0, Request.Ack | Netlink.Replace).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1001, 0, Request.Ack | Netlink.Replace).WithBytes(XfrmAttribute.ReplayValue, new byte[8]),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 50));

    [Fact]
    public void Associations_Refused_AreAnsweredAlike() => Compare(
        Request.SaId(XfrmMessage.GetSa, flags: Get),
        Request.SaId(XfrmMessage.GetSa, protocol: 6, flags: Get),
        Request.SaId(XfrmMessage.GetSa, protocol: 51, flags: Get),
        Request.SaId(XfrmMessage.DeleteSa, protocol: 60),
        Request.SaId(XfrmMessage.DeleteSa, protocol: 60).WithBytes(XfrmAttribute.SourceAddress, new byte[16]),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Family = 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Selector.Family = 9),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Selector.SourcePrefixLength = 33),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => (info.Selector.Family, info.Selector.DestinationPrefixLength) = (10, 129)),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Id.Protocol = 6),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Id.Protocol = XfrmValue.ProtocolAh),
        Request.NewSa(aead: false),
        Request.NewSa().WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16)),
        Request.NewSa().WithAlgorithm(XfrmAttribute.AlgorithmCompression, "deflate", []),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmAead, "rfc4106(gcm(aes))", Request.Key(20), 128, keyBits: 168),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16), keyBits: 136),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha1)", Request.Key(20), 96, keyBits: 1 << 30),
        Request.NewSa(aead: false).WithBytes(XfrmAttribute.AlgorithmAead, new byte[71]),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 6),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 3),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 0).With(XfrmAttribute.TfcPadding, 1000u),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 5),
        Request.NewSa().WithBytes(XfrmAttribute.IptfsDropTime, 1, 0, 0, 0),
        Request.NewSa().With(XfrmAttribute.MappingTimerThreshold, 5u),
        Request.NewSa().With(XfrmAttribute.SaPerCpu, 0u),
        Request.WithPayload(XfrmMessage.NewSa, 223));

    [Fact]
    public void Associations_WithWrongReplayState_AreAnsweredAlike() => Compare(
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128),
        Request.NewSa().WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 129 }, new uint[129]),
        Request.NewSa().WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 32).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1, ReplayWindow = 32 }, 0),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1, ReplayWindow = 32 }, 0),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { SequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = uint.MaxValue }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1 }, 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128).WithBytes(XfrmAttribute.SaDirection, 2)
            .WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = uint.MaxValue, OutboundSequenceHigh = uint.MaxValue }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { SequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { Sequence = uint.MaxValue }),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128).WithBytes(XfrmAttribute.SaDirection, 1)
            .WithReplayEsn(new XfrmReplayStateEsn { Sequence = uint.MaxValue, SequenceHigh = uint.MaxValue }),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 2).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 16).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 8).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 4).WithBytes(XfrmAttribute.SaDirection, 1),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 1).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).With(XfrmAttribute.ReplayValue, new XfrmReplayState { Bitmap = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).With(XfrmAttribute.SaExtraFlags, 1u),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).With(XfrmAttribute.SaExtraFlags, 2u),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2 })
            .With(XfrmAttribute.MappingTimerThreshold, 5u));

    private static Request Ae(XfrmMessage type, uint spi, uint flags, int header) => Request.Of(
        type,
        (ref XfrmAsyncEventId id) =>
        {
            id.Id.DestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse("192.0.2.2"));
            id.Id.Spi = XfrmConversions.Swap(spi);
            id.Id.Family = 2;
            id.Id.Protocol = 50;
            id.Flags = flags;
        },
        header);

    private static XfrmAddressFilter Filter(string source, byte sourceLength, string destination, byte destinationLength, ushort family) => new()
    {
        SourceAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(source)),
        SourcePrefixLength = sourceLength,
        DestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(destination)),
        DestinationPrefixLength = destinationLength,
        Family = family,
    };
}
