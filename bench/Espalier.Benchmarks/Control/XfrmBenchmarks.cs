using BenchmarkDotNet.Attributes;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Client;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Benchmarks.Control;

/// <summary>Parsing of an XFRM_MSG_NEWSA: header, attributes checked, and the whole of it decoded into an object. Not on the way of a packet.</summary>
[MemoryDiagnoser]
public class XfrmBenchmarks
{
    private byte[] _message = [];

    [GlobalSetup]
    public void Setup()
    {
        var writer = new NetlinkWriter(4_096);
        writer.Begin(XfrmMessage.NewSa, Netlink.Request, 1, 0);
        RequestEncoder.WriteSa(writer, new SaRequest
        {
            Source = InternetAddress.Parse("192.0.2.1"),
            Destination = InternetAddress.Parse("192.0.2.2"),
            Spi = new Spi(0x1000),
            ReplayWindow = 128,
            Algorithms = [new AlgorithmSpec(AlgorithmKind.Aead, "rfc4106(gcm(aes))", new byte[20], 128)],
        });
        writer.End();
        _message = writer.Written.ToArray();
        if (!Parse() || Decode() is null)
        {
            throw new InvalidOperationException("the message is not understood");
        }
    }

    [Benchmark]
    public bool Parse()
    {
        var reader = new NetlinkMessageReader(_message);
        return reader.MoveNext()
            && !XfrmAttributes.Parse(reader.Message, System.Runtime.CompilerServices.Unsafe.SizeOf<XfrmUserSaInfo>(), XfrmAttributes.Kind.Xfrm, out var attributes).Failed
            && attributes.Has(XfrmAttribute.AlgorithmAead);
    }

    [Benchmark]
    public object? Decode() => MessageDecoder.DecodeSa(_message);
}
