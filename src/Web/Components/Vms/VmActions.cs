using WebVm.Api.Conventions;
using WebVm.Api.Operations;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Vms;
using WebVm.Web.InProcess;
using WebVm.Web.Live;

namespace WebVm.Web.Components.Vms;

/// <summary>What people do to VMs from lists and pages, with a message on how it went.</summary>
public static class VmActions
{
    private static readonly TimeSpan s_freshCrash = TimeSpan.FromMinutes(10);

    public static bool CanStart(this VmView vm) =>
        vm.Power.State is ObservedPower.Off or ObservedPower.Saved or ObservedPower.Crashed or ObservedPower.Failed;

    public static bool IsUp(this VmView vm) =>
        vm.Power.State is ObservedPower.Starting or ObservedPower.Running or ObservedPower.Paused or ObservedPower.Saving
            or ObservedPower.Stopping;

    public static bool IsRunning(this VmView vm) => vm.Power.State == ObservedPower.Running;

    /// <summary>
    /// What is wrong with a machine that is up; null when nothing is known to be. That it has just been started again after a crash is.
    /// </summary>
    public static string? Warning(this VmView vm) =>
        !vm.IsUp()
            ? null
            : vm.Power.Reason is { Length: > 0 } reason
                ? reason
                : vm.HasJustCrashed() ? $"Started again after a crash. {vm.LastCrash!.Reason}" : null;

    private static bool HasJustCrashed(this VmView vm) =>
        vm.Power.RestartCount > 0 && vm.LastCrash is { } crash && DateTimeOffset.UtcNow - crash.At < s_freshCrash;

    /// <summary>The operations under way that write machines' states to disk, by VM.</summary>
    public static async Task<IReadOnlyDictionary<Guid, OperationView>> SavesAsync(this ApiClient api, Guid? vm = null)
    {
        var answer = await api.GetAsync<Page<OperationView>>(
            $"/api/v1/operations?state=running&limit=1000{(vm is { } id ? $"&vm={id}" : "")}");
        return (answer.Value?.Items ?? []).Where(operation => operation is { VmId: not null, Kind: "vm.power" or "vm.snapshot.create" })
            .GroupBy(operation => operation.VmId!.Value).ToDictionary(group => group.Key, group => group.First());
    }

    /// <summary>Gives a save up; the machine goes on.</summary>
    public static async Task StopSavingAsync(this ApiClient api, Toasts toasts, VmView vm)
    {
        if ((await api.SavesAsync(vm.Id)).GetValueOrDefault(vm.Id) is not { Kind: "vm.power" } save
            || !(await api.PostAsync<OperationView>($"/api/v1/operations/{save.Id}/cancel", new { })).Ok)
        {
            // Nobody waits for the save any more, or the one who clicks may not cancel what another began: a new wish counts.
            await api.PowerAsync(toasts, vm, PowerAction.On);
        }
    }

    public static async Task PowerAsync(this ApiClient api, Toasts toasts, VmView vm, PowerAction action, bool force = false)
    {
        var (working, done) = action switch
        {
            PowerAction.On => ($"Starting {vm.Name}", $"{vm.Name} is running"),
            PowerAction.Off => ($"Switching {vm.Name} off", $"{vm.Name} is off"),
            PowerAction.Shutdown => ($"Shutting {vm.Name} down", $"{vm.Name} has shut down"),
            PowerAction.Reset => ($"Resetting {vm.Name}", $"{vm.Name} was reset"),
            PowerAction.Pause => ($"Pausing {vm.Name}", $"{vm.Name} is paused"),
            PowerAction.Resume => ($"Resuming {vm.Name}", $"{vm.Name} goes on"),
            _ => ($"Saving {vm.Name}", $"{vm.Name} is saved"),
        };
        var answer = await api.PutAsync<OperationView>($"/api/v1/vms/{vm.Id}/power", new PowerRequest(action, Force: force));
        toasts.Report(answer, working, done, $"{vm.Name}: not done");
    }

    public static async Task DeleteAsync(this ApiClient api, Toasts toasts, VmView vm)
    {
        var answer = await api.DeleteAsync<OperationView>($"/api/v1/vms/{vm.Id}?force=true");
        toasts.Report(answer, $"Deleting {vm.Name}", $"{vm.Name} was deleted", $"{vm.Name} was not deleted");
    }
}
