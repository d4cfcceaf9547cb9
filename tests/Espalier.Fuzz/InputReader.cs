using System.Buffers.Binary;

namespace Espalier.Fuzz;

/// <summary>Takes an input apart. Numbers are little-endian; behind the end everything is 0 or empty, so that each input means something.</summary>
internal ref struct InputReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> _rest = input;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public byte Byte()
    {
        var taken = Bytes(1);
        return taken.IsEmpty ? (byte)0 : taken[0];
    }

    public ushort Word()
    {
        Span<byte> value = stackalloc byte[2];
        Bytes(2).CopyTo(value);
        return BinaryPrimitives.ReadUInt16LittleEndian(value);
    }

    public uint Number()
    {
        Span<byte> value = stackalloc byte[4];
        Bytes(4).CopyTo(value);
        return BinaryPrimitives.ReadUInt32LittleEndian(value);
    }

    /// <summary>At most this many bytes.</summary>
    public ReadOnlySpan<byte> Bytes(int length)
    {
        var taken = _rest[..Math.Min(length, _rest.Length)];
        _rest = _rest[taken.Length..];
        return taken;
    }

    /// <summary>A length of 16 bits, and at most as many bytes.</summary>
    public ReadOnlySpan<byte> Record() => Bytes(Word());

    /// <summary>All that is left.</summary>
    public ReadOnlySpan<byte> Rest() => Bytes(_rest.Length);
}

/// <summary>Puts an input together, for seeds.</summary>
internal static class Input
{
    public static byte[] Word(int value) => [(byte)value, (byte)(value >> 8)];

    public static byte[] Number(uint value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24)];

    public static byte[] Record(byte[] bytes) => [.. Word(bytes.Length), .. bytes];
}
