using Espalier.Running.Composition;

namespace Espalier.Program.Tests;

/// <summary>When memory is given back: once after most of many entries went, not at each change.</summary>
public sealed class HeapTrimTests
{
    [Fact]
    public void Look_ManyEntriesGo_CollectsOnce()
    {
        int entries = 0, collected = 0;
        var trim = new HeapTrim(() => entries, () => collected++);
        foreach (var (now, expected) in new[] { (0, 0), (900, 0), (0, 0), (10_000, 0), (9_000, 0), (5_001, 0), (4_999, 1), (4_000, 1), (0, 2), (0, 2), (2_000, 2), (0, 3) })
        {
            entries = now;
            trim.Look();
            Assert.Equal(expected, collected);
        }
    }
}
