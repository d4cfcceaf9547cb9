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
        RequestSamples.Fill(service);
        byte[] before = RequestSamples.State(service);
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
        RequestSamples.Fill(service);
        byte[] before = RequestSamples.State(service);
        var seeds = RequestSamples.All();
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
        RequestSamples.Fill(service);
        byte[] before = RequestSamples.State(service);
        foreach (byte[] seed in RequestSamples.All())
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
        byte[] after = RequestSamples.State(service);
        if (!maySucceed)
        {
            Assert.Equal(Convert.ToHexString(before), Convert.ToHexString(after));
        }
        else if (after.Length > 60_000)
        {
            service.Handle(Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 0));
            service.Handle(Request.Bare(XfrmMessage.FlushPolicy));
            RequestSamples.Fill(service);
            after = RequestSamples.State(service);
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
}
