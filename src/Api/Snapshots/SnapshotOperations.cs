using Microsoft.EntityFrameworkCore;
using WebVm.Api.Events;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;
using WebVm.Api.Vms;
using WebVm.Vmm.Control;

namespace WebVm.Api.Snapshots;

/// <summary>Takes a snapshot. The guest stands still while its state is written, and goes on whether that worked or not.</summary>
internal sealed class SnapshotCreation(IDbContextFactory<WebVmDbContext> databases, VmFiles files) : IOperationHandler
{
    public const string OperationKind = "vm.snapshot.create";

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.VmId!.Value;
        var snapshotId = operation.Input<SnapshotJob>().SnapshotId;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var snapshot = await database.Snapshots.SingleOrDefaultAsync(s => s.Id == snapshotId, cancellation)
            ?? throw new OperationFailedException("The snapshot was deleted.");
        try
        {
            var vm = await database.Vms.AsNoTracking().SingleAsync(v => v.Id == id, cancellation);
            if (snapshot.Complete)
            {
                return SnapshotView.From(snapshot, vm.Configuration);
            }

            if (vm.RunId is { } runId)
            {
                string target = files.Snapshot(id, snapshotId);
                int written = 0;
                await operation.ReportWhileAsync(
                    async abandoned =>
                        snapshot.Bytes = await StateFolder.SaveAsync(files.Run(runId), target, percent => written = percent, abandoned),
                    () => written,
                    "Writing the machine's state",
                    cancellation);
            }

            snapshot.Complete = true;
            database.Record("snapshot.created", $"/api/v1/vms/{id}/snapshots/{snapshotId}", id, $"Snapshot {snapshot.Name} was taken");
            await database.SaveChangesAsync(cancellation);
            return SnapshotView.From(snapshot, vm.Configuration);
        }
        catch (DbUpdateConcurrencyException)
        {
            StateFolder.Delete(files.Snapshot(id, snapshotId));
            throw new OperationFailedException("The snapshot was deleted.");
        }
        catch (Exception failure) when (failure is IOException or ControlException or OperationFailedException)
        {
            await database.Snapshots.Where(s => s.Id == snapshotId).ExecuteDeleteAsync(CancellationToken.None);
            throw failure as OperationFailedException
                ?? new OperationFailedException($"The state was not saved: {failure.Message}", failure);
        }
    }

    public async Task GiveUpAsync(OperationContext operation)
    {
        var snapshotId = operation.Input<SnapshotJob>().SnapshotId;
        await using var database = await databases.CreateDbContextAsync();
        if (await database.Snapshots.Where(s => s.Id == snapshotId && !s.Complete).ExecuteDeleteAsync() > 0)
        {
            StateFolder.Delete(files.Snapshot(operation.VmId!.Value, snapshotId));
        }
    }
}

/// <summary>Takes a VM back to a snapshot: stops it, puts the snapshot's state where the next start finds it, starts it.</summary>
internal sealed class SnapshotRestoration(
    IDbContextFactory<WebVmDbContext> databases, VmSupervisor supervisor, VmWaiter waiter, VmFiles files) : IOperationHandler
{
    public const string OperationKind = "vm.snapshot.restore";

    public string Kind => OperationKind;

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.VmId!.Value;
        var snapshotId = operation.Input<SnapshotJob>().SnapshotId;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var snapshot = await database.Snapshots.AsNoTracking().SingleOrDefaultAsync(s => s.Id == snapshotId, cancellation)
            ?? throw new OperationFailedException("The snapshot was deleted.");
        using var lease = supervisor.Use(id);
        var agent = lease.Agent;
        await operation.ReportAsync(10, "Stopping the VM");
        long generation = await SwitchOffAsync(database, id, cancellation);
        agent.Wake();
        await waiter.UntilAsync(id, agent, VmWaiter.Patience, vm => vm is { RunId: null, Observed: not ObservedPower.Saved }, cancellation);

        await operation.ReportAsync(40, "Copying the state");
        IReadOnlyList<string> restored;
        string staged = files.Saved(id) + ".new";
        try
        {
            if (snapshot.Bytes > 0)
            {
                await StateFolder.CopyAsync(files.Snapshot(id, snapshotId), staged, cancellation);
            }

            restored = await database.InTransactionAsync(
                () => AdoptAsync(database, id, generation, snapshot, staged, cancellation), cancellation);
        }
        finally
        {
            StateFolder.Delete(staged);
        }

        agent.Wake();
        if (snapshot.Bytes > 0)
        {
            await operation.ReportAsync(80, "Starting the VM");
            await waiter.UntilAsync(
                id, agent, VmWaiter.Patience, v => v.Observed == ObservedPower.Running
                    || (v is { RunId: null, Desired: DesiredPower.Off or DesiredPower.Saved }
                        ? throw new OperationFailedException(v.ObservedReason ?? "The VM did not start.")
                        : false),
                cancellation);
        }

        return new SnapshotRestored(snapshot.Id, snapshot.Name, restored);
    }

    /// <summary>Returns the generation of this command: another power request has a later one.</summary>
    private static Task<long> SwitchOffAsync(WebVmDbContext database, Guid id, CancellationToken cancellation) =>
        database.InTransactionAsync(
        async () =>
        {
            var vm = await database.LockVmAsync(id, cancellation) ?? throw new OperationFailedException("The VM was deleted.");
            vm.Desired = DesiredPower.Off;
            return ++vm.DesiredGeneration;
        },
        cancellation);

    /// <summary>The VM becomes what it was, unless somebody else has commanded it meanwhile.</summary>
    /// <returns>The settings that came back and had been others.</returns>
    private async Task<IReadOnlyList<string>> AdoptAsync(
        WebVmDbContext database, Guid id, long generation, Snapshot snapshot, string staged, CancellationToken cancellation)
    {
        var vm = await database.LockVmAsync(id, cancellation);
        if (vm is not { RunId: null } || vm.DesiredGeneration != generation)
        {
            throw new OperationFailedException("Another power request came while the snapshot was copied.");
        }

        if (snapshot.Bytes > 0)
        {
            StateFolder.Replace(staged, files.Saved(id));
        }

        var restored = VmConfigurationDifference.Between(vm.Configuration, snapshot.Configuration);
        vm.Configuration = snapshot.Configuration;
        vm.Desired = snapshot.Bytes > 0 ? DesiredPower.On : DesiredPower.Off;
        vm.DesiredGeneration++;
        if (restored.Count > 0)
        {
            vm.Revision++;
            vm.UpdatedAt = DateTimeOffset.UtcNow;
        }

        database.Record(
            "snapshot.restored", $"/api/v1/vms/{id}/snapshots/{snapshot.Id}", id, $"{vm.Name} was taken back to snapshot {snapshot.Name}",
            new { vm.Name, vm.Observed, vm.Desired, restored });
        return restored;
    }
}
