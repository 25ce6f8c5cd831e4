using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>Monitors that live and do not answer: stopped from outside, as by SIGSTOP or a frozen control group.</summary>
public sealed class StuckMonitorTests
{
    [Fact]
    public async Task A_monitor_that_does_not_answer_is_reported_and_goes_on_or_is_switched_off()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        await service.SignalMonitorsAsync("STOP");
        await AwaitAsync(service, power, body => (string?)body["reason"] == "The monitor does not answer.");
        await service.SignalMonitorsAsync("CONT");
        await AwaitAsync(service, power, body => (string?)body["state"] == "running" && body["reason"] is null);

        await service.SignalMonitorsAsync("STOP");
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "off" });
        Assert.Equal("succeeded", (string)operation!["state"]!);
        await RunningMachine.EventuallyAsync(
            service, () => Task.FromResult(Directory.GetDirectories(Path.Combine(service.Data, "run")).Length == 0));
    }

    [Fact]
    public async Task A_machine_whose_keeper_was_killed_goes_on_and_says_so()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        service.KillKeepers();
        await AwaitAsync(
            service, power, body => (string?)body["state"] == "running"
                && ((string?)body["reason"])?.StartsWith("The keeper of the monitor was killed", StringComparison.Ordinal) == true);
        var (_, off, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "off" });
        Assert.Equal("succeeded", (string)off!["state"]!);
        var (_, on, _) = await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("succeeded", (string)on!["state"]!);
        await AwaitAsync(service, power, body => (string?)body["state"] == "running" && body["reason"] is null);
    }

    [Fact]
    public async Task The_service_stops_although_a_monitor_does_not_answer_and_the_next_one_finishes_its_save()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        await service.SignalMonitorsAsync("STOP");
        Assert.Equal(HttpStatusCode.Accepted, (await service.Client.SendAsync(HttpMethod.Put, power, new { action = "save" })).Status);
        await AwaitAsync(service, power, body => (string?)body["desired"] == "saved");
        long start = Stopwatch.GetTimestamp();
        await service.StopAsync();
        // The host's patience with what does not end is 30 seconds.
        Assert.True(
            Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(29), $"The service took {Stopwatch.GetElapsedTime(start)} to stop.");
        await service.StartAgainAsync();
        await service.SignalMonitorsAsync("CONT");
        await AwaitAsync(service, power, body => (string?)body["state"] == "saved");
    }

    [Fact]
    public async Task Another_request_during_a_save_gives_it_up()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        await service.SignalMonitorsAsync("STOP");
        await service.Client.SendAsync(HttpMethod.Put, power, new { action = "save" });
        await service.Client.SendAsync(HttpMethod.Put, power, new { action = "on" });
        await service.SignalMonitorsAsync("CONT");
        await AwaitAsync(service, power, body => (string?)body["state"] == "running" && body["reason"] is null);
    }

    [Fact]
    public async Task A_snapshot_is_given_up_when_it_is_cancelled_and_leaves_nothing()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        string snapshots = power.Replace("/power", "/snapshots", StringComparison.Ordinal);
        await service.SignalMonitorsAsync("STOP");
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Post, snapshots, new { name = "never" });
        string path = $"/api/v1/operations/{operation!["id"]}";
        await AwaitAsync(service, path, body => (string?)body["message"] is not null);
        await service.Client.SendAsync(HttpMethod.Post, path + "/cancel");
        await AwaitAsync(service, path, body => (string?)body["state"] == "cancelled");
        Assert.Empty((await service.Client.SendAsync(HttpMethod.Get, snapshots)).Body!["items"]!.AsArray());
        await service.SignalMonitorsAsync("CONT");
        await AwaitAsync(service, power, body => (string?)body["state"] == "running");
        Assert.False(
            Directory.Exists(
                Path.Combine(service.Data, "vms", ((string)operation["vmId"]!).Replace("-", "", StringComparison.Ordinal), "snapshots")));
    }

    [Theory]
    [InlineData("on", "running")]
    [InlineData("pause", "paused")]
    public async Task A_save_that_is_cancelled_leaves_the_machine_as_it_was(string before, string state)
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string power = await StartAsync(service);
        await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = before });
        await service.SignalMonitorsAsync("STOP");
        var (_, save, _) = await service.Client.SendAsync(HttpMethod.Put, power, new { action = "save" });
        await service.Client.SendAsync(HttpMethod.Post, $"/api/v1/operations/{save!["id"]}/cancel", new { });
        var (_, ended, _) = await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{save["id"]}?wait=60");
        Assert.Equal("cancelled", (string)ended!["state"]!);
        await service.SignalMonitorsAsync("CONT");
        await AwaitAsync(
            service, power, body => (string?)body["state"] == state && (string?)body["desired"] == (state == "running" ? "on" : "paused")
                && body["reason"] is null);
    }

    private static async Task<string> StartAsync(ServiceProcess service)
    {
        var vm = await service.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(service.Client), Rest.NewName("stuck")));
        string power = $"/api/v1/vms/{vm["id"]}/power";
        await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        await AwaitAsync(service, power, body => (string?)body["state"] == "running");
        return power;
    }

    private static async Task AwaitAsync(ServiceProcess service, string power, Func<JsonNode, bool> reached)
    {
        JsonNode? body = null;
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            body = (await service.Client.SendAsync(HttpMethod.Get, power)).Body;
            if (reached(body!))
            {
                return;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail($"The VM did not get there: {body}\n{service.Output}");
    }
}
