using System.Buffers.Binary;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>UPDSA where the kernel at hand cannot be asked, because it has no ESP: against its source's rules (xfrm_state_update).</summary>
public sealed class SaUpdateTests
{
    private static SaIdentity Id(uint spi = 0x1000, string destination = "192.0.2.2") => new(new Spi(spi), InternetAddress.Parse(destination));

    [Fact]
    public void UpdateSa_OfUnknownSa_IsNotFound()
    {
        using var service = new ServiceHarness();

        Assert.Equal(LinuxError.NoProcess, service.ExpectError(Request.NewSa(type: XfrmMessage.UpdateSa)).Errno);
        Assert.Equal(0, service.Database.Sad.Count);
    }

    [Fact]
    public void UpdateSa_OfValidSa_ChangesWhatTheKernelChanges()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReqId = 1)
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x9411, DestinationPort = 0x9411 }));
        var sa = service.Database.Sad.Find(Id())!;
        var transform = sa.Transform;
        sa.Dying = true;
        sa.OutboundSequence = 55;
        sa.MappedPort = 9;

        service.Expect(Request.NewSa(type: XfrmMessage.UpdateSa, aead: false, change: (ref XfrmUserSaInfo info) =>
            {
                info.ReqId = 2;
                info.Limits.HardPacketLimit = 1000;
                info.Limits.HardAddExpiresSeconds = 60;
            })
            .WithAlgorithm(XfrmAttribute.AlgorithmAead, "rfc4106(gcm(aes))", Request.Key(20, 99), 128)
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x0001, DestinationPort = 0x9411 }));

        Assert.Same(sa, service.Database.Sad.Find(Id()));
        Assert.Same(transform, sa.Transform);
        Assert.Equal(Request.Key(20), sa.Algorithms[0].Key);
        Assert.Equal(1u, sa.ReqId);
        Assert.Equal(1000ul, sa.Limits.HardPackets);
        Assert.Equal(256, sa.Encapsulation!.Value.SourcePort);
        Assert.False(sa.Dying);
        Assert.Equal(55ul, sa.OutboundSequence);
        Assert.Equal(0, sa.MappedPort);
        Assert.Equal(XfrmMessage.UpdateSa, (XfrmMessage)Parsed.All(Assert.Single(service.Notifications).Message)[0].Type);
        clock.Advance(TimeSpan.FromSeconds(61));
        service.Service.Events.RunDue();
        Assert.Equal(0, service.Database.Sad.Count);
    }

    // The data plane counts sockets by the SAs that stand in the SAD.
    [Fact]
    public void UpdateSa_WithOtherPorts_AsksForTheSaThatStandsInTheSad()
    {
        using var service = new ServiceHarness();
        service.Expect(WithSourcePort(XfrmMessage.NewSa, 7001));
        var sa = service.Database.Sad.Find(Id())!;
        List<(bool IsThere, ushort? Port)> asked = [];
        List<ushort?> told = [];
        service.Database.Admission = candidate =>
        {
            asked.Add((ReferenceEquals(candidate, sa), candidate.Encapsulation?.SourcePort));
            return null;
        };
        service.Database.Sad.PortsChanged += changed => told.Add(changed.Encapsulation?.SourcePort);

        service.Expect(WithSourcePort(XfrmMessage.UpdateSa, 7002));
        service.Expect(WithSourcePort(XfrmMessage.UpdateSa, 7002));

        Assert.Equal([(true, (ushort?)7002)], asked);
        Assert.Equal([(ushort?)7002], told);
        Assert.Same(sa, service.Database.Sad.Find(Id()));
    }

    [Fact]
    public void UpdateSa_WithPortsThatAreRefused_ChangesNothing()
    {
        using var service = new ServiceHarness();
        service.Expect(WithSourcePort(XfrmMessage.NewSa, 7001));
        var sa = service.Database.Sad.Find(Id())!;
        sa.MappedPort = 9;
        service.Database.Admission = _ => "UDP port 7002 is taken";

        Assert.Equal("UDP port 7002 is taken", service.ExpectError(WithSourcePort(XfrmMessage.UpdateSa, 7002)).Text);

        Assert.Equal(7001, sa.Encapsulation!.Value.SourcePort);
        Assert.Equal(9, sa.MappedPort);
        Assert.Equal(SaState.Valid, sa.State);
    }

    [Fact]
    public void UpdateSa_BelowUse_ExpiresAtOnce()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa());
        var sa = service.Database.Sad.Find(Id())!;
        sa.Usage.Packets = 10;
        sa.Usage.UseTime = 1;

        service.Expect(Request.NewSa(type: XfrmMessage.UpdateSa, change: (ref XfrmUserSaInfo info) => info.Limits.SoftPacketLimit = 5));
        Assert.True(sa.Dying);
        Assert.Equal([XfrmGroup.Expire, XfrmGroup.Sa], service.Notifications.Select(n => n.Group));
        service.Expect(Request.NewSa(type: XfrmMessage.UpdateSa, change: (ref XfrmUserSaInfo info) => info.Limits.HardPacketLimit = 10));
        Assert.Equal(SaState.Dead, sa.State);
        Assert.Equal(0, service.Database.Sad.Count);
    }

    [Fact]
    public void UpdateSa_TurningEncapsulationOn_IsInvalid()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa());

        byte[] update = Request.NewSa(type: XfrmMessage.UpdateSa).With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x9411, DestinationPort = 0x9411 });
        Assert.Equal(LinuxError.Invalid, service.ExpectError(update).Errno);
        Assert.Null(service.Database.Sad.Find(Id())!.Encapsulation);
    }

    [Theory]
    [InlineData((byte)1, (byte)1, 0)]
    [InlineData((byte)1, (byte)0, 0)]
    [InlineData((byte)1, (byte)2, LinuxError.NoProcess)]
    [InlineData((byte)0, (byte)1, LinuxError.NoProcess)]
    public void UpdateSa_OfLarvalSa_MindsTheDirection(byte larval, byte update, int errno)
    {
        using var service = new ServiceHarness();
        var allocate = Request.AllocSpi(0x1000, 0x1000);
        service.Expect(larval == 0 ? allocate : allocate.WithBytes(XfrmAttribute.SaDirection, larval));
        var request = Request.NewSa(type: XfrmMessage.UpdateSa);
        byte[] bytes = update == 0 ? request : request.WithBytes(XfrmAttribute.SaDirection, update);

        if (errno == 0)
        {
            service.Expect(bytes);
            Assert.Equal(SaState.Valid, Assert.Single(service.Database.Sad.All).State);
        }
        else
        {
            Assert.Equal(errno, service.ExpectError(bytes).Errno);
            Assert.Equal(SaState.Larval, Assert.Single(service.Database.Sad.All).State);
        }
    }

    private static byte[] WithSourcePort(XfrmMessage type, ushort port) => Request.NewSa(type: type)
        .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = BinaryPrimitives.ReverseEndianness(port), DestinationPort = 0x9411 });
}
