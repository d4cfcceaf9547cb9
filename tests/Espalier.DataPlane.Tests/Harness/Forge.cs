using System.Buffers.Binary;
using Espalier.Ipsec.Esp;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>ESP packets that an honest sender would not make, with a right ICV: what an attacker with the keys, or a broken peer, could send.</summary>
internal static class Forge
{
    /// <summary>Seals a payload with minimal right padding.</summary>
    public static byte[] Seal(Suite suite, uint spi, ulong sequence, byte[] payload, byte nextHeader, bool esn = false)
    {
        using var transform = suite.Transform(esn);
        int align = transform.Geometry.Alignment;
        int padding = (align - ((payload.Length + 2) % align)) % align;
        byte[] trailer = [.. Enumerable.Range(1, padding).Select(i => (byte)i), (byte)padding, nextHeader];
        return SealRaw(suite, spi, sequence, [.. payload, .. trailer], esn);
    }

    /// <summary>Seals a plaintext with its padding, pad length and next header as given.</summary>
    public static byte[] SealRaw(Suite suite, uint spi, ulong sequence, byte[] plaintext, bool esn = false)
    {
        using var transform = suite.Transform(esn);
        var geometry = transform.Geometry;
        Assert.Equal(0, plaintext.Length % geometry.Alignment);
        byte[] packet = new byte[EspGeometry.HeaderLength + geometry.IvLength + plaintext.Length + geometry.IcvLength];
        BinaryPrimitives.WriteUInt32BigEndian(packet, spi);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(4), (uint)sequence);
        plaintext.CopyTo(packet, EspGeometry.HeaderLength + geometry.IvLength);
        Assert.True(transform.TrySeal(packet, sequence));
        return packet;
    }
}

/// <summary>A transform that fails.</summary>
internal sealed class FailingTransform() : EspTransform(new EspGeometry(8, 16))
{
    public override bool TrySeal(Span<byte> packet, ulong sequence) => false;

    public override bool TryOpen(Span<byte> packet, ulong sequence) => false;

    protected override void Dispose(bool disposing)
    {
    }
}
