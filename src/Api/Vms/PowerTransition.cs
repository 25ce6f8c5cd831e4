using Microsoft.EntityFrameworkCore;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;
using WebVm.Vmm.Control;

namespace WebVm.Api.Vms;

/// <summary>
/// The operation behind a power request: waits until the VM is where it was sent, and says why when it does not get there.
/// </summary>
internal sealed class PowerTransition(IDbContextFactory<WebVmDbContext> databases, VmSupervisor supervisor, VmWaiter waiter)
    : IOperationHandler
{
    public const string OperationKind = "vm.power";

    private const string Overtaken = "Another power request came after this one.";

    // A disk that takes 10 MB/s writes 200 GB in it; a save that comes to nothing ends by itself.
    private static readonly TimeSpan SavePatience = TimeSpan.FromHours(6);

    public string Kind => OperationKind;

    /// <summary>The state that an action asks for; null for an action that asks for none.</summary>
    public static DesiredPower? Target(PowerAction action) => action switch
    {
        PowerAction.On or PowerAction.Resume => DesiredPower.On,
        PowerAction.Off => DesiredPower.Off,
        PowerAction.Pause => DesiredPower.Paused,
        PowerAction.Save => DesiredPower.Saved,
        _ => null,
    };

    /// <summary>Why the action makes no sense now; null when it does.</summary>
    public static string? Refusal(Vm vm, PowerAction action)
    {
        bool up = vm.RunId is not null;
        return action switch
        {
            _ when vm.Deleting => "The VM is being deleted.",
            PowerAction.Shutdown or PowerAction.Reset when vm.Observed is not ObservedPower.Running =>
                $"The VM is not running but {vm.Observed.ToString().ToLowerInvariant()}.",
            PowerAction.Pause or PowerAction.Save when !up => "The VM is not running.",
            PowerAction.Resume when vm.Observed != ObservedPower.Paused => "The VM is not paused.",
            _ => null,
        };
    }

    /// <summary>The operation of a command to switch off that still stands, cancelled or not; null when there is none.</summary>
    public static async Task<Operation?> FindOffAsync(WebVmDbContext database, Vm vm, CancellationToken cancellation)
    {
        var waiting =
            await database.Operations.Where(o => o.VmId == vm.Id && o.Kind == OperationKind && o.FinishedAt == null)
                .OrderBy(o => o.CancelRequested).ToListAsync(cancellation);
        return waiting.Find(
            o => new OperationContext(o).Input<Job>() is { Action: PowerAction.Off } job && job.Generation == vm.DesiredGeneration);
    }

    public async Task<object?> RunAsync(OperationContext operation, CancellationToken cancellation)
    {
        var job = operation.Input<Job>();
        var id = operation.VmId!.Value;
        using var lease = supervisor.Use(id);
        var agent = lease.Agent;
        if (job.Action == PowerAction.Reset)
        {
            await CommandAsync(agent, client => client.ResetAsync(), cancellation);
        }
        else if (job.Action == PowerAction.Shutdown)
        {
            await ShutdownAsync(id, agent, job, operation, cancellation);
        }
        else if (job.Action == PowerAction.Save)
        {
            await SaveAsync(id, agent, job, operation, cancellation);
        }
        else
        {
            agent.Wake();
            await waiter.UntilAsync(id, agent, VmWaiter.Patience, vm => Outcome(vm, job), cancellation);
        }

        await using var database = await databases.CreateDbContextAsync(cancellation);
        return VmPowerView.From(
            await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation)
                ?? throw new OperationFailedException("The VM was deleted."));
    }

    private async Task SaveAsync(Guid id, VmAgent agent, Job job, OperationContext operation, CancellationToken cancellation)
    {
        agent.Wake();
        await operation.ReportWhileAsync(
            abandoned => waiter.UntilAsync(id, agent, SavePatience, vm => Outcome(vm, job), abandoned), () => agent.SaveProgress,
            "Writing the machine's state", cancellation);
    }

    /// <summary>A save that its owner gives up, also before its turn: the machine goes on as what it was before.</summary>
    public async Task GiveUpAsync(OperationContext operation)
    {
        var job = operation.Input<Job>();
        if (job.Action == PowerAction.Save && operation.VmId is { } id)
        {
            await using var database = await databases.CreateDbContextAsync();
            await database.Vms.Where(vm => vm.Id == id && vm.DesiredGeneration == job.Generation && vm.RunId != null)
                .ExecuteUpdateAsync(
                    set => set.SetProperty(vm => vm.Desired, job.Otherwise)
                        .SetProperty(vm => vm.DesiredGeneration, vm => vm.DesiredGeneration + 1));
            supervisor.Wake(id);
        }
    }

    private async Task ShutdownAsync(Guid id, VmAgent agent, Job job, OperationContext operation, CancellationToken cancellation)
    {
        await CommandAsync(agent, client => client.PressPowerButtonAsync(), cancellation);
        await operation.ReportAsync(10, "Power button pressed");
        try
        {
            await waiter.UntilAsync(id, agent, TimeSpan.FromSeconds(job.DeadlineSeconds), vm => vm.RunId is null, cancellation);
        }
        catch (OperationFailedException) when (job.Force)
        {
            await operation.ReportAsync(90, "Deadline passed, switching off");
            await using var database = await databases.CreateDbContextAsync(cancellation);
            int still = await database.Vms.Where(vm => vm.Id == id && vm.DesiredGeneration == job.Generation)
                .ExecuteUpdateAsync(
                    set => set.SetProperty(vm => vm.Desired, DesiredPower.Off)
                        .SetProperty(vm => vm.DesiredGeneration, vm => vm.DesiredGeneration + 1),
                    cancellation);
            if (still == 0)
            {
                throw new OperationFailedException(Overtaken);
            }

            agent.Wake();
            await waiter.UntilAsync(id, agent, VmWaiter.Patience, vm => vm.RunId is null, cancellation);
        }
        catch (OperationFailedException)
        {
            throw new OperationFailedException($"The guest did not shut down within {job.DeadlineSeconds} seconds.");
        }
    }

    private static bool Outcome(Vm vm, Job job)
    {
        if (vm.DesiredGeneration != job.Generation)
        {
            throw new OperationFailedException(Overtaken);
        }

        return job.Action switch
        {
            PowerAction.Off => vm is { RunId: null, Observed: ObservedPower.Off or ObservedPower.Crashed or ObservedPower.Failed },
            PowerAction.Save =>
                vm.Observed == ObservedPower.Saved
                    || (vm.Desired != DesiredPower.Saved
                        ? throw new OperationFailedException(vm.ObservedReason ?? "The VM was not saved.")
                        : false),
            PowerAction.Pause => vm.Observed == ObservedPower.Paused || Ended(vm),
            _ => vm.Observed == ObservedPower.Running || Ended(vm),
        };
    }

    // False while there is hope.
    private static bool Ended(Vm vm) => vm is { RunId: null, Desired: DesiredPower.Off or DesiredPower.Saved }
        ? throw new OperationFailedException(vm.ObservedReason ?? "The machine ended.")
        : false;

    private static async Task CommandAsync(VmAgent agent, Func<ControlClient, Task> command, CancellationToken cancellation)
    {
        try
        {
            await command(agent.Client ?? throw new OperationFailedException("The VM is not running.")).WaitAsync(cancellation);
        }
        catch (Exception failure) when (failure is IOException or ControlException)
        {
            throw new OperationFailedException(failure.Message, failure);
        }
    }

    /// <param name="Otherwise">What is wanted when a save is given up.</param>
    public sealed record Job(
        PowerAction Action, int DeadlineSeconds, bool Force, long Generation, DesiredPower Otherwise = DesiredPower.On);
}
