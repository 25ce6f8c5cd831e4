using System.Diagnostics;

namespace WebVm.Benchmarks;

/// <summary>Measures short operations: the best of several rounds, as others on the host only ever make it slower.</summary>
internal static class Timing
{
    private const int Rounds = 7;

    /// <param name="action">Does the operation that many times.</param>
    /// <returns>Nanoseconds and allocated bytes per operation.</returns>
    public static (double Nanoseconds, double Bytes) Measure(int operations, Action<int> action)
    {
        // Long enough for the runtime to replace its first, slow code.
        for (int i = 0; i < 3; i++)
        {
            action(operations);
            Thread.Sleep(150);
        }

        double best = double.MaxValue;
        long allocated = long.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long bytes = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            action(operations);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations);
            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - bytes);
        }

        return (best, (double)allocated / operations);
    }
}
