using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence.Entities;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>What services leave that are killed between two steps, and how the next one finishes it.</summary>
public sealed class AbandonedRunsTests
{
    [Fact]
    public async Task A_run_that_no_VM_has_is_ended_at_the_start_and_its_folder_deleted()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service);
        var (kept, keptPower) = await RunningMachine.RunAsync(service);
        string runs = Path.Combine(service.Data, "run");
        await using var database = Databases.Of(service).CreateDbContext();
        string abandoned = (await database.Vms.AsNoTracking().SingleAsync(vm => vm.Id == id, Rest.Cancellation)).RunId!;
        string stays = (await database.Vms.AsNoTracking().SingleAsync(vm => vm.Id == kept, Rest.Cancellation)).RunId!;
        int monitor = ServiceProcess.MonitorOf(Path.Combine(runs, abandoned));
        await service.KillAsync();
        await database.Vms.Where(vm => vm.Id == id).ExecuteUpdateAsync(set => set
            .SetProperty(vm => vm.RunId, (string?)null).SetProperty(vm => vm.Desired, DesiredPower.Off)
                .SetProperty(vm => vm.Observed, ObservedPower.Off),
            Rest.Cancellation);
        // One that has ended, and one that was never begun.
        Directory.CreateDirectory(Path.Combine(runs, "0123456789ab"));
        await File.WriteAllTextAsync(
            Path.Combine(Directory.CreateDirectory(Path.Combine(runs, "ba9876543210")).FullName, "exit"), "0\n", Rest.Cancellation);
        await service.StartAgainAsync();
        await RunningMachine.EventuallyAsync(service, () => Task.FromResult(Directory.GetDirectories(runs).Length == 1));
        Assert.Equal([Path.Combine(runs, stays)], Directory.GetDirectories(runs));
        // Nobody may have taken note of its end yet; then it is there without a command line.
        string command = $"/proc/{monitor}/cmdline";
        Assert.Equal("", File.Exists(command) ? await File.ReadAllTextAsync(command, Rest.Cancellation) : "");
        Assert.Equal("off", await RunningMachine.StateAsync(service, power));
        await RunningMachine.EventuallyAsync(service, async () => await RunningMachine.StateAsync(service, keptPower) == "running");
    }

    [Fact]
    public async Task A_switch_off_after_a_save_whose_end_nobody_saw_discards_the_state()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service);
        await service.KillAsync();
        string saved = Path.Combine(service.Data, "vms", id.ToString("N"), "saved");
        Directory.CreateDirectory(saved);
        await using (var database = Databases.Of(service).CreateDbContext())
        {
            await database.Vms.Where(vm => vm.Id == id).ExecuteUpdateAsync(set => set
                .SetProperty(vm => vm.Desired, DesiredPower.Off).SetProperty(vm => vm.Observed, ObservedPower.Saving)
                    .SetProperty(vm => vm.DesiredGeneration, vm => vm.DesiredGeneration + 1),
                Rest.Cancellation);
        }

        await service.StartAgainAsync();
        await RunningMachine.EventuallyAsync(
            service, async () => await RunningMachine.StateAsync(service, power) == "off" && !Directory.Exists(saved));
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("succeeded", (string)operation!["state"]!);
    }

    [Fact]
    public async Task A_state_that_cannot_be_gone_on_from_is_kept_and_its_reason_shows_no_folders()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service);
        await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "save" });
        string description = Path.Combine(service.Data, "vms", id.ToString("N"), "saved", "machine.json");
        Assert.True(File.Exists(description), string.Join(' ', Directory.GetFiles(Path.GetDirectoryName(description)!)));
        await File.WriteAllTextAsync(description, "{", Rest.Cancellation);
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("failed", (string)operation!["state"]!);
        var view = (await service.Client.SendAsync(HttpMethod.Get, power)).Body!;
        Assert.Equal(("saved", "saved"), ((string)view["state"]!, (string)view["desired"]!));
        string reason = (string)view["reason"]!;
        Assert.Contains("could not be built", reason, StringComparison.Ordinal);
        Assert.Equal(reason, (string)operation["error"]!);
        Assert.DoesNotContain(service.Data, reason, StringComparison.Ordinal);
        Assert.Contains(
            "state/machine.json", service.Output[service.Output.IndexOf("its run has failed", StringComparison.Ordinal)..],
            StringComparison.Ordinal);
        Assert.True(File.Exists(description));
        // Whoever gives it up switches the VM off.
        await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "off" });
        await RunningMachine.EventuallyAsync(service, () => Task.FromResult(!File.Exists(description)));
        (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("succeeded", (string)operation!["state"]!);
    }

    [Fact]
    public async Task A_crash_is_told_once_though_the_database_is_away_in_the_midst_of_it()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service, restart: "never");
        var (_, shutdown, _) = await service.Client.SendAsync(HttpMethod.Put, power, new { action = "shutdown", deadlineSeconds = 600 });
        await RunningMachine.EventuallyAsync(
            service, async () =>
                (int?)(await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{shutdown!["id"]}")).Body!["progress"] == 10);
        await service.KillDatabaseAsync();
        await service.KillMonitorsAsync();
        await RunningMachine.EventuallyAsync(service, async () => await RunningMachine.StateAsync(service, power) == "crashed");
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{shutdown!["id"]}?wait=60");
        // The guest is gone, as was asked for; or the operation was taken up again and found it gone.
        Assert.True(
            (string)operation!["state"]! is "succeeded" || (string?)operation["error"] == "The VM is not running.",
            operation.ToJsonString());
        await using var database = Databases.Of(service).CreateDbContext();
        Assert.Equal(1, await database.Events.CountAsync(e => e.VmId == id && e.Type == "vm.crashed", Rest.Cancellation));
        // The folder goes when the end is written down.
        await RunningMachine.EventuallyAsync(
            service, () => Task.FromResult(Directory.GetDirectories(Path.Combine(service.Data, "run")).Length == 0));
    }
}
