namespace Espalier.Wire.Tests.Offload;

/// <summary>Compares packets; Assert.Equal, which takes long over many bytes, has its say only where they differ.</summary>
internal static class PacketAssert
{
    internal static void Equal(byte[] expected, byte[] actual)
    {
        if (!expected.AsSpan().SequenceEqual(actual))
        {
            Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(actual));
        }
    }

    internal static void Equal(IReadOnlyList<byte[]> expected, IReadOnlyList<byte[]> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        for (int i = 0; i < expected.Count; i++)
        {
            Equal(expected[i], actual[i]);
        }
    }
}
