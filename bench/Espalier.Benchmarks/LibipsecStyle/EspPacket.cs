using System.Buffers.Binary;
using Espalier.Ipsec.Algorithms;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>
/// libipsec's esp_packet_t, AES-GCM in tunnel mode: an object around a packet_t with its two addresses. Sealing writes into a fresh buffer (bio_writer_t),
/// opening into another one; each sets up the key anew, as strongSwan's OpenSSL backend does.
/// </summary>
internal sealed class EspPacket
{
    internal const int IcvLength = 16;
    private const int HeaderLength = 8;
    private const int IvLength = 8;
    private const int Alignment = 4;
    private byte[] _bytes;

    private EspPacket(HostAddress source, HostAddress destination, byte[] bytes, IpPacket? payload)
    {
        Source = source;
        Destination = destination;
        _bytes = bytes;
        Payload = payload;
    }

    internal HostAddress Source { get; }

    internal HostAddress Destination { get; }

    internal IpPacket? Payload { get; private set; }

    internal ReadOnlySpan<byte> Bytes => _bytes;

    internal static EspPacket FromPayload(HostAddress source, HostAddress destination, IpPacket payload) => new(source, destination, [], payload);

    internal static EspPacket FromPacket(HostAddress source, HostAddress destination, byte[] bytes) => new(source, destination, bytes, null);

    internal bool TryParseSpi(out uint spi) => BinaryPrimitives.TryReadUInt32BigEndian(_bytes, out spi) && _bytes.Length >= HeaderLength;

    internal bool TryEncrypt(EspContext context, uint spi)
    {
        if (!context.TryNextSequence(out uint sequence))
        {
            return false;
        }

        var payload = Payload!.Encoding;
        int plain = (payload.Length + 2 + Alignment - 1) & -Alignment;
        byte[] bytes = new byte[HeaderLength + IvLength + plain + IcvLength];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, spi);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), sequence);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(HeaderLength), sequence);
        var text = bytes.AsSpan(HeaderLength + IvLength, plain);
        payload.CopyTo(text);
        int padding = plain - payload.Length - 2;
        for (int i = 0; i < padding; i++)
        {
            text[payload.Length + i] = (byte)(i + 1);
        }

        text[^2] = (byte)padding;
        text[^1] = payload[0] >> 4 == 4 ? (byte)4 : (byte)41;
        _bytes = bytes;
        Span<byte> nonce = stackalloc byte[12];
        context.WriteNonce(nonce, bytes.AsSpan(HeaderLength, IvLength));
        using var cipher = context.SetUpKey(TransformDirection.Seal);
        return cipher.TrySeal(nonce, bytes.AsSpan(0, HeaderLength), text, bytes.AsSpan(bytes.Length - IcvLength));
    }

    internal bool TryDecrypt(EspContext context)
    {
        int length = _bytes.Length - HeaderLength - IvLength - IcvLength;
        if (length < Alignment || length % Alignment != 0)
        {
            return false;
        }

        uint low = BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(4));
        if (!context.IsAcceptable(low))
        {
            return false;
        }

        byte[] plain = _bytes.AsSpan(HeaderLength + IvLength, length).ToArray();
        Span<byte> nonce = stackalloc byte[12];
        context.WriteNonce(nonce, _bytes.AsSpan(HeaderLength, IvLength));
        using var cipher = context.SetUpKey(TransformDirection.Open);
        if (!cipher.TryOpen(nonce, _bytes.AsSpan(0, HeaderLength), plain, _bytes.AsSpan(_bytes.Length - IcvLength)))
        {
            return false;
        }

        context.SetAuthenticated(low);
        return TryRemovePadding(plain);
    }

    private bool TryRemovePadding(byte[] plain)
    {
        int padding = plain[^2];
        if (padding > plain.Length - 2 || plain[^1] is not (4 or 41))
        {
            return false;
        }

        for (int i = 0; i < padding; i++)
        {
            if (plain[plain.Length - 2 - padding + i] != i + 1)
            {
                return false;
            }
        }

        Payload = IpPacket.Create(plain);
        return Payload is not null;
    }
}
