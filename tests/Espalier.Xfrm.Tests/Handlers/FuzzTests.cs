using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>
/// Random and mutated datagrams, from a fixed seed: nothing throws, answers are well-formed, and a datagram in which every message failed leaves
/// SAD and SPD as they were.
/// </summary>
public sealed class FuzzTests
{
    [Fact]
    public void Handle_RandomBytes_ChangesNothing()
    {
        using var service = new ServiceHarness();
        Fill(service);
        byte[] before = State(service);
        var random = new Random(1);
        for (int i = 0; i < 5_000; i++)
        {
            byte[] datagram = new byte[random.Next(0, 600)];
            random.NextBytes(datagram);
            if (datagram.Length >= 16 && i % 2 == 0)
            {
                // A plausible header, so that the bytes reach the handlers.
                BitConverter.TryWriteBytes(datagram, datagram.Length);
                BitConverter.TryWriteBytes(datagram.AsSpan(4), (ushort)random.Next(0x10, 0x2a));
                BitConverter.TryWriteBytes(datagram.AsSpan(6), (ushort)Request.Ack);
            }

            Check(service, datagram, ref before);
        }
    }

    [Fact]
    public void Handle_MutatedRequests_ChangesNothingUnlessItSaysSo()
    {
        using var service = new ServiceHarness();
        Fill(service);
        byte[] before = State(service);
        var seeds = Seeds();
        var random = new Random(2);
        for (int i = 0; i < 12_000; i++)
        {
            byte[] datagram = Mutate(seeds[random.Next(seeds.Length)], random);
            Check(service, datagram, ref before);
        }
    }

    [Fact]
    public void Handle_EveryTruncation_ChangesNothingUnlessItSaysSo()
    {
        using var service = new ServiceHarness();
        Fill(service);
        byte[] before = State(service);
        foreach (byte[] seed in Seeds())
        {
            for (int length = 0; length < seed.Length; length++)
            {
                byte[] cut = seed[..length];
                Check(service, cut, ref before);
                if (length >= 16)
                {
                    BitConverter.TryWriteBytes(cut, length);
                    Check(service, cut, ref before);
                }
            }
        }
    }

    private static void Check(ServiceHarness service, byte[] datagram, ref byte[] before)
    {
        byte[] copy = [.. datagram];
        var answers = Parsed.All(service.Handle(datagram));
        bool maySucceed = answers.Count == 0 || answers.Any(answer => answer.Type != Netlink.Error || answer.Errno == 0);
        Assert.Equal(copy, datagram);
        byte[] after = State(service);
        if (!maySucceed)
        {
            Assert.Equal(Convert.ToHexString(before), Convert.ToHexString(after));
        }
        else if (after.Length > 60_000)
        {
            service.Handle(Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 0));
            service.Handle(Request.Bare(XfrmMessage.FlushPolicy));
            Fill(service);
            after = State(service);
        }

        before = after;
    }

    private static byte[] Mutate(byte[] seed, Random random)
    {
        byte[] datagram = [.. seed];
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int at = random.Next(datagram.Length);
            switch (random.Next(5))
            {
                case 0:
                    datagram[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    datagram[at] = (byte)random.Next(256);
                    break;
                case 2:
                    int word = at & ~3;
                    if (word + 4 <= datagram.Length)
                    {
                        int[] odd = [0, -1, int.MaxValue, int.MinValue, 1, 0x10000];
                        BitConverter.TryWriteBytes(datagram.AsSpan(word), odd[random.Next(odd.Length)]);
                    }

                    break;
                case 3:
                    datagram = datagram[..Math.Max(16, at)].WithLength();
                    break;
                default:
                    byte[] more = new byte[random.Next(1, 40)];
                    random.NextBytes(more);
                    datagram = [.. datagram, .. more];
                    break;
            }
        }

        return datagram;
    }

    private static void Fill(ServiceHarness service)
    {
        service.Expect(Request.NewSa(spi: 0x1000));
        service.Expect(Request.NewSa(spi: 0x1001).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0));
        service.Expect(Request.AllocSpi(0x1002, 0x1002));
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));
        service.Expect(Request.NewPolicy(direction: 0).With(XfrmAttribute.Template, Request.Template("192.0.2.2", "192.0.2.1")));
    }

    private static byte[] State(ServiceHarness service)
    {
        var all = new List<byte>();
        foreach (byte[] request in (byte[][])[Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump), Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump)])
        {
            foreach (byte[] reply in service.Handle(request))
            {
                all.AddRange(reply);
            }
        }

        return [.. all];
    }

    private static byte[][] Seeds() =>
    [
        Request.NewSa(spi: 0x2000),
        Request.NewSa(spi: 0x1002, type: XfrmMessage.UpdateSa),
        Request.NewSa(spi: 0x1000, type: XfrmMessage.UpdateSa),
        Request.NewSa(spi: 0x2001, aead: false, change: (ref XfrmUserSaInfo info) => info.Flags = 128)
            .WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16))
            .WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha256)", Request.Key(32), 128)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0)
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 1, DestinationPort = 2 })
            .With(XfrmAttribute.TfcPadding, 100u),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.GetSa),
        Request.AllocSpi(0x3000, 0x3fff),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 51),
        Request.NewPolicy("10.9.0.0/16").With(XfrmAttribute.Template, Request.Template()),
        Request.NewPolicy(type: XfrmMessage.UpdatePolicy).With(XfrmAttribute.Template, Request.Template(reqId: 2)),
        Request.PolicyId(XfrmMessage.DeletePolicy),
        Request.PolicyId(XfrmMessage.GetPolicy),
        Request.PolicyId(XfrmMessage.Migrate).WithBytes(XfrmAttribute.Migrate, new byte[76]),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1001)),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) => expire.Policy.Index = 1),
        Request.Of(XfrmMessage.NewAsyncEvent, (ref XfrmAsyncEventId id) => id.Id.Family = 2, Request.Ack | Netlink.Replace)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0),
        Request.Of(XfrmMessage.GetAsyncEvent, (ref XfrmAsyncEventId id) => id.Id.Family = 2),
        Request.Of(XfrmMessage.SetDefault, (ref XfrmUserPolicyDefault value) => value.In = 3),
        Request.Of(XfrmMessage.GetSpdInfo, (ref uint _) => { }),
        Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump).WithBytes(XfrmAttribute.AddressFilter, new byte[36]),
        [.. Request.SaId(XfrmMessage.GetSa).Bytes(), .. Request.PolicyId(XfrmMessage.GetPolicy).Bytes()],
    ];
}
