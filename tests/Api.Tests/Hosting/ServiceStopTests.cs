using System.Diagnostics;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

public sealed class ServiceStopTests
{
    [Fact]
    public async Task Guests_are_shut_down_with_the_service_and_come_back_with_it()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Settings(deadline: 300));
        string path = await StartAsync(service, new { name = Rest.NewName(), memory = 256L << 20, boot = new { image = "tiny" } });
        await AwaitSerialAsync(service, path, "tiny:/root#");
        await service.StopAsync(TimeSpan.FromMinutes(6));
        Assert.Empty(Runs(service));
        await service.StartAgainAsync();
        await AwaitPowerAsync(service, path, "running");
        string serial = await service.Client.GetStringAsync(path + "/serial", Rest.Cancellation);
        Assert.Contains("reboot: Power down", serial, StringComparison.Ordinal);
        var (_, events, _) = await service.Client.SendAsync(HttpMethod.Get, path + "/power");
        Assert.Equal("on", (string)events!["desired"]!);
        // While it boots again, the guest would not listen to the power button.
        await service.KillAsync();
    }

    [Fact]
    public async Task A_guest_that_does_not_listen_is_switched_off_at_the_deadline()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Settings(deadline: 1));
        await StartIdleAsync(service);
        await service.StopAsync();
        Assert.Empty(Runs(service));
    }

    [Fact]
    public async Task A_second_signal_switches_off_at_once()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Settings(deadline: 3600));
        await StartIdleAsync(service);
        await service.SignalAsync("INT");
        while (!service.Output.Contains("Shutting the machines down", StringComparison.Ordinal))
        {
            await Task.Delay(50, Rest.Cancellation);
        }

        Assert.Single(Runs(service));
        await service.SignalAsync("INT");
        await service.StopAsync();
        Assert.Empty(Runs(service));
    }

    [Fact]
    public async Task Open_streams_do_not_hold_up_the_stop()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string path = await StartIdleAsync(service);
        using var events = await service.Client.GetAsync("/api/v1/events", HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
        using var serial = await service.Client.GetAsync(
            path + "/serial?follow=true", HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
        // The streams are ended in good order. Those that the host ended, after its half minute of patience, would be broken off.
        var ends = new[] { events, serial }.Select(stream => stream.Content.ReadAsStringAsync(Rest.Cancellation)).ToArray();
        await service.StopAsync();
        await Task.WhenAll(ends);
        Assert.Single(Runs(service));
    }

    private static Dictionary<string, string> Settings(int deadline) =>
        new(Guests.Settings()) { ["WEBVM_KEEP_RUNNING"] = "false", ["WEBVM_STOP_DEADLINE_SECONDS"] = deadline.ToString(null, null) };

    private static string[] Runs(ServiceProcess service) => Directory.GetDirectories(Path.Combine(service.Data, "run"));

    private static async Task<string> StartIdleAsync(ServiceProcess service) =>
        await StartAsync(service, IdleGuest.Settings(await IdleGuest.UploadAsync(service.Client), Rest.NewName()));

    private static async Task<string> StartAsync(ServiceProcess service, object settings)
    {
        JsonNode vm = await service.Client.CreateVmAsync(settings);
        string path = $"/api/v1/vms/{vm["id"]}";
        await service.Client.SendAsync(HttpMethod.Put, path + "/power?wait=90", new { action = "on" });
        await AwaitPowerAsync(service, path, "running");
        return path;
    }

    private static async Task AwaitSerialAsync(ServiceProcess service, string path, string expected)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            if ((await service.Client.GetStringAsync(path + "/serial", Rest.Cancellation)).Contains(expected, StringComparison.Ordinal))
            {
                return;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail($"The guest did not print \"{expected}\".");
    }

    private static async Task AwaitPowerAsync(ServiceProcess service, string path, string state)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            if ((string?)(await service.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!["state"] == state)
            {
                return;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail($"The VM did not become {state}.");
    }
}
