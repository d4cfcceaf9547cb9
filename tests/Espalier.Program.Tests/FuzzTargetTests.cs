using Espalier.Fuzz;

namespace Espalier.Program.Tests;

/// <summary>The targets of tests/fuzz on what they start from: their invariants hold, and they are not forgotten when the code changes.</summary>
public sealed class FuzzTargetTests
{
    public static TheoryData<string> Targets() => [.. FuzzTargets.All().Select(target => target.Name)];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Run_Seeds_InvariantsHold(string name)
    {
        var target = FuzzTargets.Find(name);
        byte[][] seeds = [.. target.Seeds()];
        Assert.NotEmpty(seeds);
        Assert.All(seeds, seed => target.Run(seed));
    }

    // A bit changed, some cut: what a fuzzer tries first.
    [Theory]
    [MemberData(nameof(Targets))]
    public void Run_SeedsCutAndChanged_InvariantsHold(string name)
    {
        var target = FuzzTargets.Find(name);
        var random = new Random(1);
        byte[][] seeds = [.. target.Seeds()];
        for (int i = 0; i < 300; i++)
        {
            byte[] input = [.. seeds[random.Next(seeds.Length)]];
            input[random.Next(input.Length)] ^= (byte)(1 << random.Next(8));
            target.Run(i % 3 == 0 ? input[..random.Next(input.Length)] : input);
        }
    }
}
