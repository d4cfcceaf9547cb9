namespace Espalier.Running;

/// <summary>
/// Threads that a daemon that runs needs now and then: that on which .NET hands over a signal, and the program nft, which counts as one. Where a limit leaves no room for them,
/// the stop would fail half-way; so the start does.
/// </summary>
internal static class SpareThreads
{
    private const int Count = 2;
    private const int StackSize = 64 * 1024;

    /// <summary>Makes them, all at once, and lets them end.</summary>
    /// <exception cref="OutOfMemoryException">There is no room for one of them.</exception>
    internal static void Try()
    {
        using var end = new ManualResetEventSlim();
        List<Thread> made = [];
        try
        {
            while (made.Count < Count)
            {
                var thread = new Thread(end.Wait, StackSize) { IsBackground = true, Name = "spare" };
                thread.Start();
                made.Add(thread);
            }
        }
        finally
        {
            end.Set();
            made.ForEach(static thread => thread.Join());
        }
    }
}
