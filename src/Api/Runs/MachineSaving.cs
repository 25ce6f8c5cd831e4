using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Vmm.Control;

namespace WebVm.Api.Runs;

/// <summary>Has a machine's state saved, until that is done, has failed, or another power request comes.</summary>
/// <param name="woken">Has an entry when somebody wants something of the VM.</param>
internal sealed class MachineSaving(Guid id, VmAgentServices services, PowerRecord record, StepPace pace, Channel<bool> woken)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    /// <summary>How much of a save under way is done, in percent.</summary>
    public int Progress { get; private set; }

    /// <param name="paused">What the machine was before.</param>
    /// <returns>Whether the state is there. If not, the guest is what it was before, or stands still for what came meanwhile.</returns>
    public async Task<bool> SaveAsync(
        WebVmDbContext database, Vm vm, RunDirectory run, ControlClient client, bool paused, CancellationToken cancellation)
    {
        await record.ObserveAsync(database, vm, ObservedPower.Saving, null, cancellation);
        using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task<long>? save = null;
        try
        {
            await client.PauseAsync().WaitAsync(cancellation);
            Progress = 0;
            save = StateFolder.SaveAsync(run, services.Files.Saved(id), percent => Progress = percent, abandon.Token);
            await AbandonUnlessWantedAsync(save, vm, abandon);
            await save;
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // What came meanwhile is done next.
            return false;
        }
        catch (Exception failure) when (failure is ControlException or IOException)
        {
            // Nothing is lost: the guest is what it was before, and its owner learns why.
            var (back, seen) = paused ? (DesiredPower.Paused, ObservedPower.Paused) : (DesiredPower.On, ObservedPower.Running);
            await database.Vms.Where(v => v.Id == id && v.DesiredGeneration == vm.DesiredGeneration)
                .ExecuteUpdateAsync(set => set.SetProperty(v => v.Desired, back), cancellation);
            await record.ObserveAsync(database, vm, seen, $"Not saved: {failure.Message}", cancellation);
            return false;
        }
        finally
        {
            // Whatever happened: there are never two saves at once.
            await abandon.CancelAsync();
            await Task.WhenAny(save ?? Task.CompletedTask);
        }
    }

    /// <summary>Waits for the end of a save, and gives it up when another power request comes meanwhile.</summary>
    private async Task AbandonUnlessWantedAsync(Task save, Vm vm, CancellationTokenSource abandon)
    {
        while (!save.IsCompleted)
        {
            await Task.WhenAny(save, woken.Reader.WaitToReadAsync(abandon.Token).AsTask());
            if (save.IsCompleted || !woken.Reader.TryRead(out _))
            {
                continue;
            }

            try
            {
                await pace.TakeAsync(abandon.Token);
                await using var database = await services.Databases.CreateDbContextAsync(abandon.Token);
                if (!await database.Vms.AnyAsync(v => v.Id == id && v.DesiredGeneration == vm.DesiredGeneration, abandon.Token))
                {
                    await abandon.CancelAsync();
                    return;
                }
            }
            catch (Exception away) when (DatabaseTrouble.Is(away))
            {
                // The save goes on, and the question is asked again.
                await Task.WhenAny(save, Task.Delay(RetryDelay, abandon.Token));
                woken.Writer.TryWrite(true);
            }
        }
    }
}
