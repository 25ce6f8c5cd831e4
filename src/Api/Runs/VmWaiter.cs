using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Runs;

/// <summary>Waits for a VM to come to a state.</summary>
internal sealed class VmWaiter(IDbContextFactory<WebVmDbContext> databases)
{
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    // The agent's signal comes first; this is for changes that another process makes.
    private static readonly TimeSpan Recheck = TimeSpan.FromMilliseconds(500);

    /// <param name="reached">True when the VM is there; throws <see cref="OperationFailedException"/> when it can no longer get
    /// there.</param>
    /// <exception cref="OperationFailedException">The VM was deleted, or the time is over.</exception>
    public async Task UntilAsync(Guid id, VmAgent agent, TimeSpan patience, Func<Vm, bool> reached, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            var changed = agent.Changed;
            await using (var database = await databases.CreateDbContextAsync(cancellation))
            {
                if (reached(
                    await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation)
                        ?? throw new OperationFailedException("The VM was deleted.")))
                {
                    return;
                }
            }

            var left = patience - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                throw new OperationFailedException($"The VM did not get there within {patience.TotalSeconds:0} seconds.");
            }

            await Task.WhenAny(changed, Task.Delay(left < Recheck ? left : Recheck, cancellation));
            cancellation.ThrowIfCancellationRequested();
        }
    }
}
