using Espalier.Routing.Guard;

namespace Espalier.Routing.Tests.Guard;

/// <summary>What the guard has dropped, over tables that come and go and readings that fail.</summary>
public sealed class GuardTallyTests
{
    private GuardCounters? _table;

    [Fact]
    public void Read_ThatFails_TellsWhatWasReadLast()
    {
        var tally = Make();
        _table = new GuardCounters(5, 1, 2);
        Assert.Equal(new GuardCounters(5, 1, 2), tally.Read());

        _table = null;
        Assert.Equal(new GuardCounters(5, 1, 2), tally.Read());

        _table = new GuardCounters(7, 1, 2);
        Assert.Equal(new GuardCounters(7, 1, 2), tally.Read());
    }

    [Theory]
    [InlineData(true, 9)]
    [InlineData(false, 5)]
    public void Replace_OfTheTable_KeepsWhatItCounted(bool readable, long counted)
    {
        var tally = Make();
        _table = new GuardCounters(5, 0, 0);
        tally.Read();
        _table = readable ? new GuardCounters(9, 0, 0) : null;

        tally.Replace(() => Put(default));
        Assert.Equal(counted, tally.Read().Inbound);

        _table = new GuardCounters(1, 0, 0);
        Assert.Equal(counted + 1, tally.Read().Inbound);
    }

    [Fact]
    public void Replace_ThatIsRefused_CountsNothingTwice()
    {
        var tally = Make();
        _table = new GuardCounters(5, 0, 0);

        Assert.Equal("refused", tally.Replace(() => "refused"));

        Assert.Equal(5, tally.Read().Inbound);
    }

    [Fact]
    public void Table_ThatACrashHasLeft_IsNotCounted()
    {
        var tally = new GuardTally(() => _table);
        _table = new GuardCounters(5, 0, 0);
        Assert.Equal(default, tally.Read());

        tally.Replace(() => Put(new GuardCounters(0, 0, 3)));

        Assert.Equal(new GuardCounters(0, 0, 3), tally.Read());
    }

    private GuardTally Make()
    {
        var tally = new GuardTally(() => _table);
        Assert.Null(tally.Replace(() => Put(default)));
        return tally;
    }

    private string? Put(GuardCounters table)
    {
        _table = table;
        return null;
    }
}
