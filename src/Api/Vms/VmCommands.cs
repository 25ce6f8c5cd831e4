using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using WebVm.Api.Conventions;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;

namespace WebVm.Api.Vms;

/// <summary>
/// The form of every request that has something done to a VM: what is wanted is written down with the operation that waits for it, in one
/// transaction and under the row's lock, so that two requests at once come one after the other; then the VM's agent is woken.
/// </summary>
internal sealed class VmCommands(WebVmDbContext database, OperationRunner operations, VmSupervisor supervisor)
{
    /// <param name="command">Given the VM, changes it and returns the operation; or says why that makes no sense.</param>
    public async Task<IResult> RunAsync(Guid id, HttpContext context, Func<Vm, Task<Commanded>> command, CancellationToken cancellation)
    {
        var commanded = await database.InTransactionAsync(
            async () => await database.LockVmAsync(id, cancellation) is not { } vm ? Problems.NotFound("VM", id)
                : context.Request.CheckIfMatch(vm.Revision) is { } stale ? stale : await command(vm),
            cancellation);
        if (commanded.Operation is not { } operation)
        {
            return commanded.Refusal!;
        }

        supervisor.Wake(id);
        return await operations.AcceptedAsync(context, operation);
    }
}

/// <summary>An operation, or the answer that there is none.</summary>
internal readonly record struct Commanded(Operation? Operation, ProblemHttpResult? Refusal)
{
    public static implicit operator Commanded(Operation operation) => new(operation, null);

    public static implicit operator Commanded(ProblemHttpResult refusal) => new(null, refusal);
}
