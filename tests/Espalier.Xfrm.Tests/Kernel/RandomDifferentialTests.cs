using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// Random sequences of requests, from fixed seeds, to the running kernel and to us. They keep to what both have: policies of one tunnel template at
/// most, larval SAs, no marks where something would be stored; sizes, families, prefixes, directions, indexes and flags of messages are anything.
/// </summary>
public sealed class RandomDifferentialTests
{
    private static readonly string[] Networks4 = ["10.1.0.0/16", "10.1.0.0/24", "10.1.0.7/32", "10.2.0.0/16", "0.0.0.0/0"];
    private static readonly string[] Networks6 = ["2001:db8:1::/48", "2001:db8:1::5/128", "::/0"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Policies_InRandomSequences_AreAnsweredAlike(int seed) => Run(seed, NextPolicyRequest);

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    public void LarvalSas_InRandomSequences_AreAnsweredAlike(int seed) => Run(seed, new SaRequests().Next);

    private static void Run(int seed, Func<Random, Request> next)
    {
        var random = new Random(seed);
        Compare([.. Enumerable.Range(0, 400).Select(_ => next(random).Bytes())]);
    }

    private static Request NextPolicyRequest(Random random) => random.Next(20) switch
    {
        < 7 => Policy(random, random.Next(3) == 0 ? XfrmMessage.UpdatePolicy : XfrmMessage.NewPolicy),
        < 10 => Attributes(random, Id(random, XfrmMessage.GetPolicy, Flags(random))),
        < 13 => Attributes(random, Id(random, XfrmMessage.DeletePolicy, Flags(random))),
        13 => Attributes(random, Request.Of(
            XfrmMessage.PolicyExpire,
            (ref XfrmUserPolicyExpire expire) =>
            {
                FillPolicy(random, ref expire.Policy);
                expire.Policy.Index = (uint)random.Next(3) * 8;
                expire.Hard = (byte)random.Next(3);
            })),
        14 => random.Next(4) == 0 ? Attributes(random, Request.Bare(XfrmMessage.FlushPolicy, Flags(random))) : Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump),
        15 => Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump),
        16 => Request.PolicyId(XfrmMessage.GetPolicy, flags: Flags(random)),
        17 => Request.Of(
            XfrmMessage.SetDefault,
            (ref XfrmUserPolicyDefault value) => (value.In, value.Forward, value.Out) = ((byte)random.Next(4), (byte)random.Next(4), (byte)random.Next(4)),
            Flags(random)),
        18 => Request.Of(XfrmMessage.GetDefault, (ref XfrmUserPolicyDefault _) => { }, Flags(random)),
        _ => Odd(random),
    };

    private static Request Odd(Random random)
    {
        var type = (XfrmMessage)random.Next(0x10, 0x2c);
        return type is XfrmMessage.Acquire or XfrmMessage.GetSpdInfo or XfrmMessage.GetSadInfo ? Request.Bare(XfrmMessage.Report) : Request.WithPayload(type, random.Next(0, 320), Flags(random));
    }

    private static (string Source, string Destination) Pair(Random random)
    {
        string[] networks = random.Next(3) == 0 ? Networks6 : Networks4;
        return (networks[random.Next(networks.Length)], networks[random.Next(networks.Length)]);
    }

    private static Request Policy(Random random, XfrmMessage type)
    {
        var request = Request.Of(type, (ref XfrmUserPolicyInfo info) => FillPolicy(random, ref info), Flags(random));
        if (random.Next(3) != 0)
        {
            var template = Template(random);
            request.With(XfrmAttribute.Template, template);
        }

        if (random.Next(6) == 0)
        {
            request.WithBytes(XfrmAttribute.PolicyType, random.Next(8) == 0 ? (byte)2 : (byte)0, 0, 0, 0, 0, 0);
        }

        return random.Next(8) == 0 ? request.WithBytes((XfrmAttribute)random.Next(44, 60), new byte[random.Next(9)]) : request;
    }

    private static void FillPolicy(Random random, ref XfrmUserPolicyInfo info)
    {
        var (source, destination) = Pair(random);
        Request.FillSelector(ref info.Selector, source, destination);
        if (random.Next(12) == 0)
        {
            // Not IPv4 over the bytes of an IPv6 address: the kernel keeps and tells those behind the fourth, which are nobody's.
            info.Selector.Family = random.Next(3) switch { 0 => (ushort)0, 1 => (ushort)10, _ => (ushort)7 };
        }

        if (random.Next(12) == 0)
        {
            info.Selector.SourcePrefixLength = (byte)random.Next(140);
        }

        if (random.Next(3) == 0)
        {
            info.Selector.Protocol = (byte)(random.Next(2) == 0 ? 17 : 1);
            info.Selector.DestinationPort = XfrmConversions.Swap((ushort)random.Next(4));
            info.Selector.DestinationPortMask = random.Next(2) == 0 ? ushort.MaxValue : (ushort)0;
            info.Selector.SourcePort = XfrmConversions.Swap((ushort)random.Next(2));
            info.Selector.SourcePortMask = random.Next(3) == 0 ? ushort.MaxValue : (ushort)0;
        }

        info.Direction = (byte)(random.Next(20) == 0 ? random.Next(8) : random.Next(3));
        info.Priority = (uint)random.Next(4);
        info.Action = (byte)(random.Next(20) == 0 ? 2 : random.Next(2));
        info.Share = (byte)(random.Next(20) == 0 ? 4 : random.Next(4));
        info.Flags = (byte)random.Next(4);
        info.Index = random.Next(5) == 0 ? (uint)random.Next(64) : 0;
        info.Limits.SoftByteLimit = random.Next(3) == 0 ? (ulong)random.NextInt64(1, long.MaxValue) : ulong.MaxValue;
        info.Limits.HardByteLimit = ulong.MaxValue;
        info.Limits.SoftPacketLimit = ulong.MaxValue;
        info.Limits.HardPacketLimit = random.Next(3) == 0 ? (ulong)random.NextInt64(1, long.MaxValue) : ulong.MaxValue;
        info.Limits.HardAddExpiresSeconds = random.Next(3) == 0 ? 100_000u : 0;
    }

    private static XfrmUserTemplate Template(Random random) => Request.Template(
        random.Next(2) == 0 ? "192.0.2.1" : "192.0.2.2",
        random.Next(2) == 0 ? "192.0.2.1" : "192.0.2.2",
        (uint)random.Next(3),
        (ref XfrmUserTemplate template) =>
        {
            template.Family = random.Next(9) switch { 0 => (ushort)0, 1 => (ushort)5, 2 => (ushort)10, _ => (ushort)2 };
            template.Id.Spi = (uint)random.Next(3);
            template.Id.Protocol = random.Next(12) == 0 ? (byte)17 : (byte)50;
            template.Mode = random.Next(12) == 0 ? (byte)(6 + random.Next(3)) : (byte)1;
            template.Share = (byte)random.Next(256);
        });

    private static Request Id(Random random, XfrmMessage type, int flags) => Request.Of(
        type,
        (ref XfrmUserPolicyId id) =>
        {
            var (source, destination) = Pair(random);
            Request.FillSelector(ref id.Selector, source, destination);
            if (random.Next(6) == 0)
            {
                id.Selector.SourcePrefixLength = (byte)random.Next(140);
            }

            if (random.Next(10) == 0)
            {
                id.Selector.Family = random.Next(2) == 0 ? (ushort)0 : (ushort)10;
            }

            id.Direction = (byte)(random.Next(16) == 0 ? random.Next(8) : random.Next(3));
            id.Index = random.Next(3) == 0 ? (uint)random.Next(64) : 0;
        },
        flags);

    private static Request Attributes(Random random, Request request)
    {
        for (int count = random.Next(3); count > 0 && random.Next(2) == 0; count--)
        {
            var type = (XfrmAttribute)random.Next(0, 46);
            if (type is XfrmAttribute.LifetimeValue)
            {
                continue;
            }

            byte[] value = new byte[random.Next(3) == 0 ? random.Next(80) : 4 << random.Next(5)];
            if (random.Next(3) == 0)
            {
                random.NextBytes(value);
            }

            request.WithBytes(type, value);
        }

        return request;
    }

    private static int Flags(Random random) => random.Next(3) == 0 ? Netlink.Request : Request.Ack;

    private sealed class SaRequests
    {
        private uint _next = 0x1000;

        public Request Next(Random random) => random.Next(12) switch
        {
            < 4 => Larval(random),
            4 or 5 => Attributes(random, SaId(random, XfrmMessage.GetSa, Flags(random))),
            6 => Attributes(random, SaId(random, XfrmMessage.DeleteSa, Flags(random))),
            7 => Attributes(random, Request.Of(
                XfrmMessage.Expire,
                (ref XfrmUserExpire expire) =>
                {
                    Request.FillSa(ref expire.State, "192.0.2.1", Host(random), Spi(random));
                    expire.Hard = (byte)random.Next(2);
                },
                Flags(random))),
            8 => Attributes(random, AsyncEvent(random)),
            9 => Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump),
            10 => Attributes(random, Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = random.Next(4) switch { 0 => (byte)50, 1 => (byte)0, 2 => (byte)51, _ => (byte)6 }, Flags(random))),
            _ => SaId(random, XfrmMessage.DeleteSa, Flags(random)),
        };

        private Request Larval(Random random)
        {
            // Each SPI once: what an ALLOCSPI without success leaves in the kernel is documented to differ.
            uint spi = _next++;
            uint maximum = random.Next(8) == 0 ? spi - 1 : spi;
            string destination = Host(random);
            var request = Request.AllocSpi(
                spi,
                maximum,
                destination.Contains(':', StringComparison.Ordinal) ? "2001:db8::1" : "192.0.2.1",
                destination,
                (ref XfrmUserSpiInfo info) =>
                {
                    info.Info.ReqId = spi;
                    info.Info.Mode = (byte)random.Next(2);
                    info.Info.Id.Protocol = random.Next(9) switch { 0 => (byte)6, 1 => (byte)0, _ => (byte)50 };
                },
                Flags(random));
            return random.Next(4) == 0 ? request.WithBytes(XfrmAttribute.SaDirection, (byte)random.Next(4)) : request;
        }

        private Request SaId(Random random, XfrmMessage type, int flags) =>
            Request.SaId(type, Host(random), Spi(random), flags, random.Next(8) switch { 0 => (byte)51, 1 => (byte)60, 2 => (byte)0, _ => (byte)50 });

        private Request AsyncEvent(Random random) => Request.Of(
            random.Next(2) == 0 ? XfrmMessage.GetAsyncEvent : XfrmMessage.NewAsyncEvent,
            (ref XfrmAsyncEventId id) =>
            {
                var destination = InternetAddress.Parse(Host(random));
                id.Id.DestinationAddress = XfrmConversions.FromAddress(destination);
                id.Id.Spi = XfrmConversions.Swap(Spi(random));
                id.Id.Family = XfrmConversions.ToFamily(destination.Version);
                id.Id.Protocol = 50;
                id.Flags = (uint)random.Next(128);
            },
            Flags(random) | (random.Next(2) == 0 ? Netlink.Replace : 0));

        private uint Spi(Random random) => _next - 1 - (uint)random.Next((int)Math.Min(8, _next - 0x1000 + 1));

        private static string Host(Random random) => random.Next(4) == 0 ? "2001:db8::2" : "192.0.2.2";
    }
}
