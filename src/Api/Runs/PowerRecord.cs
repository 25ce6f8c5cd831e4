using Microsoft.EntityFrameworkCore;
using WebVm.Api.Events;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>Writes down what is seen of a VM's run, and tells of it.</summary>
internal sealed class PowerRecord(Guid id, HostPaths paths)
{
    public const string NoAnswer = "The monitor does not answer.";

    /// <summary>Of the VM's present run, unless it is written down already.</summary>
    /// <param name="reason">In the words of the monitor or the host.</param>
    public Task ObserveAsync(WebVmDbContext database, Vm vm, ObservedPower seen, string? reason, CancellationToken cancellation) =>
        ObserveAsync(database, vm, seen, reason, silent: false, cancellation);

    /// <summary>The monitor does not answer: what was seen last stays.</summary>
    public Task ObserveSilenceAsync(WebVmDbContext database, Vm vm, CancellationToken cancellation) =>
        ObserveAsync(database, vm, vm.Observed, NoAnswer, silent: true, cancellation);

    /// <summary>
    /// Takes the run off the VM and tells what is to be seen now, in one transaction: whoever is killed before it does all of it again, and
    /// a folder that is left behind is found at the next start (<see cref="AbandonedRuns"/>).
    /// </summary>
    /// <param name="conclude">Given the VM as it is now; what it changes is kept.</param>
    public Task FinishRunAsync(
        WebVmDbContext database, string runId, Func<Vm, (ObservedPower Seen, string? Reason)> conclude, CancellationToken cancellation) =>
        database.InTransactionAsync(
            async () =>
            {
                if (await database.LockVmAsync(id, cancellation) is not { } now || now.RunId != runId)
                {
                    return false;
                }

                (now.Observed, now.ObservedReason) = conclude(now);
                now.Silent = false;
                now.RunId = null;
                now.RunningConfiguration = null;
                now.Isolation = null;
                now.StartedAt = null;
                database.Record(EventType(now.Observed), now, now.ObservedReason);
                return true;
            },
            cancellation);

    private async Task ObserveAsync(
        WebVmDbContext database, Vm vm, ObservedPower seen, string? reason, bool silent, CancellationToken cancellation)
    {
        reason = paths.Hide(reason);
        if (vm.Observed == seen && vm.ObservedReason == reason && vm.Silent == silent)
        {
            return;
        }

        (vm.Observed, vm.ObservedReason, vm.Silent) = (seen, reason, silent);
        await database.InTransactionAsync(
            async () =>
            {
                int changed =
                    await database.Vms.Where(
                        v => v.Id == id && v.RunId == vm.RunId && (v.Observed != seen || v.ObservedReason != reason || v.Silent != silent))
                    .ExecuteUpdateAsync(
                        set => set.SetProperty(v => v.Observed, seen).SetProperty(v => v.ObservedReason, reason)
                            .SetProperty(v => v.Silent, silent),
                        cancellation);
                if (changed > 0)
                {
                    database.Record(EventType(seen), vm, reason);
                }

                return changed;
            },
            cancellation);
    }

    private static string EventType(ObservedPower seen) => $"vm.{seen.ToString().ToLowerInvariant()}";
}
