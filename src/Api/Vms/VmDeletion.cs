using Microsoft.EntityFrameworkCore;
using WebVm.Api.Events;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;

namespace WebVm.Api.Vms;

/// <summary>Deletes a VM: stops it, removes its files, then its row. Each step may be repeated.</summary>
internal sealed class VmDeletion(IDbContextFactory<WebVmDbContext> databases, VmSupervisor supervisor, VmWaiter waiter, VmFiles files)
    : IOperationHandler
{
    public const string OperationKind = "vm.delete";

    public string Kind => OperationKind;

    /// <summary>A deletion of the VM that waits or is under way, cancelled or not; null when there is none.</summary>
    public static Task<Operation?> FindAsync(WebVmDbContext database, Guid vm, CancellationToken cancellation) =>
        database.Operations.Where(o => o.VmId == vm && o.Kind == OperationKind && o.FinishedAt == null).OrderBy(o => o.CancelRequested)
            .FirstOrDefaultAsync(cancellation);

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var id = operation.VmId!.Value;
        await using var database = await databases.CreateDbContextAsync(cancellation);
        if (await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            using var lease = supervisor.Use(id);
            lease.Agent.Wake();
            await waiter.UntilAsync(id, lease.Agent, VmWaiter.Patience, vm => vm.RunId is null, cancellation);
        }

        // From here on there is no way back.
        await supervisor.ForgetAsync(id);
        files.Delete(id);
        await database.InTransactionAsync(() => RemoveAsync(database, id), CancellationToken.None);
        // Whoever read its serial log meanwhile had it opened again.
        await supervisor.ForgetAsync(id);
        files.Delete(id);
        return null;
    }

    /// <summary>A deletion that was cancelled in time leaves a VM that is switched off.</summary>
    public async Task GiveUpAsync(OperationContext operation)
    {
        await using var database = await databases.CreateDbContextAsync();
        await database.Vms.Where(vm => vm.Id == operation.VmId).ExecuteUpdateAsync(set => set.SetProperty(vm => vm.Deleting, false));
    }

    private static async Task<object?> RemoveAsync(WebVmDbContext database, Guid id)
    {
        if (await database.LockVmAsync(id, CancellationToken.None) is { } vm)
        {
            database.Vms.Remove(vm);
            database.Record("vm.deleted", vm, $"{vm.Name} was deleted");
        }

        return null;
    }
}
