using Espalier.Benchmarks.Gate;

namespace Espalier.Benchmarks.Tests;

public sealed class AllocationGateTests
{
    [Fact]
    public void Failures_HotPathWithoutAllocation_None() =>
        Assert.Empty(AllocationGate.Failures([new GatedResult("a", true, 0, 64), new GatedResult("b", false, 6_400, 64)]));

    [Fact]
    public void Failures_HotPathThatAllocates_OneLineEach()
    {
        var lines = AllocationGate.Failures([new GatedResult("a", true, 1_536, 64), new GatedResult("b", true, 0, 64), new GatedResult("c", true, 32, 64)]);
        Assert.Equal(["a: allocates 24 B per operation, 0 allowed", "c: allocates 0.5 B per operation, 0 allowed"], lines);
    }

    [Fact]
    public void Failures_BenchmarkThatDidNotRun_IsNamed() =>
        Assert.Equal(["b: did not run"], AllocationGate.Failures([new GatedResult("a", true, 0, 64), new GatedResult("b", false, null, 0)]));

    [Fact]
    public void Failures_NothingOfTheHotPath_IsAFailure() =>
        Assert.Equal(["no benchmark of the hot path ran"], AllocationGate.Failures([new GatedResult("b", false, 0, 64)]));

    [Fact]
    public void MustNotAllocate_HotPath_ExceptLibrariesThatAllocate()
    {
        Assert.True(AllocationGate.MustNotAllocate([AllocationGate.HotPath], "Engine=system, Size=1400"));
        Assert.False(AllocationGate.MustNotAllocate([AllocationGate.HotPath], "Engine=bouncycastle, Size=1400"));
        Assert.False(AllocationGate.MustNotAllocate([AllocationGate.HotPath], "Transform=bouncycastle aes128gcm16, Size=1400"));
        Assert.False(AllocationGate.MustNotAllocate([AllocationGate.HotPath], "Transform=system aes128ccm16, Size=1400"));
        Assert.True(AllocationGate.MustNotAllocate([AllocationGate.HotPath], "Transform=system aes128-sha256, Size=1400"));
        Assert.False(AllocationGate.MustNotAllocate([], "Engine=system, Size=1400"));
    }
}
