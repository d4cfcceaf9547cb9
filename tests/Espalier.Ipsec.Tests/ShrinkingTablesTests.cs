namespace Espalier.Ipsec.Tests;

public sealed class ShrinkingTablesTests
{
    private const int Many = 10_000;

    [Fact]
    public void Dictionary_MostAreRemoved_HasRoomForWhatIsLeftAndHoldsIt()
    {
        var table = Enumerable.Range(0, Many).ToDictionary(i => i, i => -i);
        for (int i = 0; i < Many - 100; i++)
        {
            Assert.True(table.RemoveAndShrink(i, out int value));
            Assert.Equal(-i, value);
            Assert.False(table.RemoveAndShrink(i));
            Assert.InRange(table.Capacity, table.Count, Many * 2);
        }

        Assert.InRange(table.Capacity, 100, 800);
        Assert.Equal(Enumerable.Range(Many - 100, 100), table.Keys.Order());
    }

    [Fact]
    public void Set_AllAreRemoved_KeepsLittleRoomAndWorksOn()
    {
        var table = Enumerable.Range(0, Many).ToHashSet();
        for (int i = 0; i < Many; i++)
        {
            Assert.True(table.RemoveAndShrink(i));
            Assert.False(table.RemoveAndShrink(i));
        }

        Assert.InRange(table.Capacity, 0, 128);
        Assert.True(table.Add(1));
        Assert.Equal([1], table);
    }

    [Fact]
    public void Dictionary_OneComesAndGoes_DoesNotChangeItsRoomEachTime()
    {
        var table = Enumerable.Range(0, Many).ToDictionary(i => i);
        int changes = 0, capacity = table.Capacity;
        for (int left = Many; left > 0; left--)
        {
            table.RemoveAndShrink(left - 1);
            for (int again = 0; again < 3; again++)
            {
                table.Add(-1, 0);
                table.RemoveAndShrink(-1);
                changes += table.Capacity == capacity ? 0 : 1;
                capacity = table.Capacity;
            }
        }

        Assert.InRange(changes, 3, 20);
    }
}
