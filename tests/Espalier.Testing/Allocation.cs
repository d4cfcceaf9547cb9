namespace Espalier.Testing;

/// <summary>What code allocates on the thread that runs it.</summary>
public static class Allocation
{
    private const int Rounds = 5;

    /// <summary>
    /// The fewest bytes of several rounds. What a packet costs shows in every round; what the runtime allocates on the same thread while it compiles a
    /// method anew or loads a type does not, and when it does so depends on what else the process is busy with.
    /// </summary>
    public static long Least(Action round)
    {
        ArgumentNullException.ThrowIfNull(round);
        long least = long.MaxValue;
        for (int i = 0; i < Rounds; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            round();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
