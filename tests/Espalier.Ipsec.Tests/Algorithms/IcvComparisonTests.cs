using Espalier.Ipsec.Algorithms;

namespace Espalier.Ipsec.Tests.Algorithms;

public sealed class IcvComparisonTests
{
    [Fact]
    public void AreEqual_AnyBitOfAnyLength_IsSeen()
    {
        for (int length = 8; length <= 64; length++)
        {
            byte[] left = new byte[length];
            new Random(length).NextBytes(left);
            byte[] right = [.. left];
            Assert.True(IcvComparison.AreEqual(left, right));
            for (int bit = 0; bit < length * 8; bit++)
            {
                right[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.False(IcvComparison.AreEqual(left, right), $"bit {bit} of {length * 8}");
                right[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }
    }

    // One wrong length is a bug of the caller, never a packet's.
    [Theory]
    [InlineData(7, 7)]
    [InlineData(16, 12)]
    [InlineData(0, 0)]
    public void AreEqual_LengthsThatNoIcvHas_Throw(int left, int right) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => IcvComparison.AreEqual(new byte[left], new byte[right]));
}
