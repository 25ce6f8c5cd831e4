using Xunit;

namespace WebVm.Kit;

/// <summary>That what is done in steady state takes no memory from the collector.</summary>
internal static class Allocations
{
    private const int MostRounds = 8;

    /// <summary>
    /// Does something until it allocates nothing on this thread. The runtime allocates for itself now and then, when a method is compiled
    /// anew or a lock is first contended; what the work itself allocates it allocates each time.
    /// </summary>
    /// <returns>How often it was done.</returns>
    public static int UntilNone(Action work)
    {
        long allocated = 0;
        for (int round = 1; round <= MostRounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            work();
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated == 0)
            {
                return round;
            }
        }

        Assert.Fail($"{allocated} bytes were allocated in round {MostRounds} too.");
        return MostRounds;
    }
}
