using System.Runtime.InteropServices;
using System.Text;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests;

/// <summary>Builds request bytes of any kind, valid or not.</summary>
internal sealed class Request
{
    private readonly NetlinkWriter _writer = new(64 * 1024);

    private Request(XfrmMessage type, int flags) => _writer.Begin(type, flags, 1, 0);

    public delegate void Fill<T>(ref T value);

    public const int Ack = Netlink.Request | Netlink.Acknowledge;

    public static Request Of<T>(XfrmMessage type, Fill<T> fill, int flags = Ack)
        where T : unmanaged
    {
        var request = new Request(type, flags);
        fill(ref request._writer.Reserve<T>());
        return request;
    }

    public static Request Bare(XfrmMessage type, int flags = Ack) => new(type, flags);

    public static Request WithPayload(XfrmMessage type, int length, int flags = Ack)
    {
        var request = new Request(type, flags);
        request._writer.Append(new byte[length]);
        return request;
    }

    public Request With<T>(XfrmAttribute type, T value)
        where T : unmanaged
    {
        _writer.Attribute(type, value);
        return this;
    }

    public Request WithBytes(XfrmAttribute type, params byte[] value)
    {
        _writer.Attribute(type, value);
        return this;
    }

    public Request WithAlgorithm(XfrmAttribute type, string name, byte[] key, uint icvBits = 0, int? keyBits = null)
    {
        bool longer = type is XfrmAttribute.AlgorithmAead or XfrmAttribute.AlgorithmAuthenticationTruncated;
        int header = longer ? 72 : 68;
        var value = _writer.ReserveAttribute((ushort)type, header + key.Length);
        Encoding.ASCII.GetBytes(name, value);
        BitConverter.TryWriteBytes(value[64..], keyBits ?? key.Length * 8);
        if (longer)
        {
            BitConverter.TryWriteBytes(value[68..], icvBits);
        }

        key.CopyTo(value[header..]);
        return this;
    }

    public Request WithReplayEsn(XfrmReplayStateEsn state, params uint[] bitmap)
    {
        var value = _writer.ReserveAttribute((ushort)XfrmAttribute.ReplayEsnValue, 24 + bitmap.Length * 4);
        MemoryMarshal.Write(value, state);
        MemoryMarshal.AsBytes(bitmap.AsSpan()).CopyTo(value[24..]);
        return this;
    }

    public byte[] Bytes()
    {
        _writer.End();
        return _writer.Written.ToArray();
    }

    public static implicit operator byte[](Request request) => request.Bytes();

    public static byte[] Key(int length, byte first = 1) => [.. Enumerable.Range(0, length).Select(i => (byte)(first + i))];

    /// <summary>A tunnel SA with AES-GCM, as `ip xfrm state add` sends it.</summary>
    public static Request NewSa(
        string source = "192.0.2.1", string destination = "192.0.2.2", uint spi = 0x1000, XfrmMessage type = XfrmMessage.NewSa, Fill<XfrmUserSaInfo>? change = null, bool aead = true)
    {
        var request = Of(
            type,
            (ref XfrmUserSaInfo info) =>
            {
                FillSa(ref info, source, destination, spi);
                change?.Invoke(ref info);
            });
        return aead ? request.WithAlgorithm(XfrmAttribute.AlgorithmAead, "rfc4106(gcm(aes))", Key(20), 128) : request;
    }

    public static void FillSa(ref XfrmUserSaInfo info, string source, string destination, uint spi)
    {
        var to = InternetAddress.Parse(destination);
        info.Id.DestinationAddress = XfrmConversions.FromAddress(to);
        info.Id.Spi = XfrmConversions.Swap(spi);
        info.Id.Protocol = XfrmValue.ProtocolEsp;
        info.SourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse(source));
        info.Family = XfrmConversions.ToFamily(to.Version);
        info.Mode = XfrmValue.ModeTunnel;
        info.Limits.SoftByteLimit = ulong.MaxValue;
        info.Limits.HardByteLimit = ulong.MaxValue;
        info.Limits.SoftPacketLimit = ulong.MaxValue;
        info.Limits.HardPacketLimit = ulong.MaxValue;
    }

    public static Request SaId(XfrmMessage type, string destination = "192.0.2.2", uint spi = 0x1000, int flags = Ack, byte protocol = XfrmValue.ProtocolEsp)
    {
        var to = InternetAddress.Parse(destination);
        return Of(
            type,
            (ref XfrmUserSaId id) =>
            {
                id.DestinationAddress = XfrmConversions.FromAddress(to);
                id.Spi = XfrmConversions.Swap(spi);
                id.Family = XfrmConversions.ToFamily(to.Version);
                id.Protocol = protocol;
            },
            flags);
    }

    public static Request AllocSpi(
        uint minimum, uint maximum, string source = "192.0.2.1", string destination = "192.0.2.2", Fill<XfrmUserSpiInfo>? change = null, int flags = Netlink.Request) =>
        Of(
            XfrmMessage.AllocateSpi,
            (ref XfrmUserSpiInfo info) =>
            {
                FillSa(ref info.Info, source, destination, 0);
                info.Info.Limits = default;
                info.Minimum = minimum;
                info.Maximum = maximum;
                change?.Invoke(ref info);
            },
            flags);

    public static void FillSelector(ref XfrmSelector selector, string source, string destination)
    {
        var from = AddressPrefix.Parse(source);
        var to = AddressPrefix.Parse(destination);
        selector.SourceAddress = XfrmConversions.FromAddress(from.Address);
        selector.DestinationAddress = XfrmConversions.FromAddress(to.Address);
        selector.SourcePrefixLength = (byte)from.Length;
        selector.DestinationPrefixLength = (byte)to.Length;
        selector.Family = XfrmConversions.ToFamily(to.Version);
    }

    public static Request NewPolicy(
        string source = "10.1.0.0/16", string destination = "10.2.0.0/16", byte direction = 1, XfrmMessage type = XfrmMessage.NewPolicy, uint priority = 0,
        Fill<XfrmUserPolicyInfo>? change = null) =>
        Of(
            type,
            (ref XfrmUserPolicyInfo info) =>
            {
                FillSelector(ref info.Selector, source, destination);
                info.Direction = direction;
                info.Priority = priority;
                info.Limits.SoftByteLimit = ulong.MaxValue;
                info.Limits.HardByteLimit = ulong.MaxValue;
                info.Limits.SoftPacketLimit = ulong.MaxValue;
                info.Limits.HardPacketLimit = ulong.MaxValue;
                change?.Invoke(ref info);
            });

    public static XfrmUserTemplate Template(string source = "192.0.2.1", string destination = "192.0.2.2", uint reqId = 1, Fill<XfrmUserTemplate>? change = null)
    {
        var to = InternetAddress.Parse(destination);
        var template = new XfrmUserTemplate
        {
            Family = XfrmConversions.ToFamily(to.Version),
            SourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse(source)),
            ReqId = reqId,
            Mode = XfrmValue.ModeTunnel,
            AuthenticationAlgorithms = uint.MaxValue,
            EncryptionAlgorithms = uint.MaxValue,
            CompressionAlgorithms = uint.MaxValue,
        };
        template.Id.DestinationAddress = XfrmConversions.FromAddress(to);
        template.Id.Protocol = XfrmValue.ProtocolEsp;
        change?.Invoke(ref template);
        return template;
    }

    public static Request PolicyId(
        XfrmMessage type, string source = "10.1.0.0/16", string destination = "10.2.0.0/16", byte direction = 1, uint index = 0, int flags = Ack,
        Fill<XfrmUserPolicyId>? change = null) =>
        Of(
            type,
            (ref XfrmUserPolicyId id) =>
            {
                if (index == 0)
                {
                    FillSelector(ref id.Selector, source, destination);
                }

                id.Index = index;
                id.Direction = direction;
                change?.Invoke(ref id);
            },
            flags);
}

/// <summary>Small changes of request bytes.</summary>
internal static class RequestBytes
{
    /// <summary>Writes the length of the array as the message's.</summary>
    public static byte[] WithLength(this byte[] message)
    {
        BitConverter.TryWriteBytes(message, message.Length);
        return message;
    }
}
