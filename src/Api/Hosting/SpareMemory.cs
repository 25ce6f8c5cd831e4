using Microsoft.Extensions.Hosting;

namespace WebVm.Api.Hosting;

/// <summary>
/// Gives memory back to the host when what it was taken for is over. The collector looks for what is free only when something is allocated,
/// which a service at rest hardly does, and keeps for later what it has found; later is what guests could have it for.
/// </summary>
internal sealed class SpareMemory(TimeProvider time) : BackgroundService
{
    private const long Mebibyte = 1 << 20;

    /// <summary>
    /// Bytes allocated since it was last given back that make it worth while: a collection of everything takes some tens of milliseconds.
    /// </summary>
    private const long Worth = 64 * Mebibyte;

    /// <summary>
    /// Bytes allocated in an interval by a service that is not at rest: requests and consoles are under way, which a collection would hold
    /// up.
    /// </summary>
    private const long Busy = 64 * Mebibyte;

    private static readonly TimeSpan s_interval = TimeSpan.FromMinutes(1);

    /// <param name="lately">Bytes allocated in the last interval.</param>
    /// <param name="since">Bytes allocated since memory was last given back.</param>
    public static bool IsDue(long lately, long since) => lately < Busy && since >= Worth;

    /// <summary>Collects everything and keeps no spare room.</summary>
    public static void GiveBack() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(s_interval, time);
        long looked = 0;
        long given = 0;
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            long allocated = GC.GetTotalAllocatedBytes();
            if (IsDue(allocated - looked, allocated - given))
            {
                GiveBack();
                given = allocated;
            }

            looked = allocated;
        }
    }
}
