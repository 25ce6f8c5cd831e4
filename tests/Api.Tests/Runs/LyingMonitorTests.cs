using System.Diagnostics;
using System.Net;
using System.Net.Http;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>
/// A guest that has taken over its monitor's process has the service's ear: what a service hears then (tests/Attacker, LyingMonitor) costs
/// its own machine something, and nobody else.
/// </summary>
public sealed class LyingMonitorTests(LyingMonitorTests.Host host) : IClassFixture<LyingMonitorTests.Host>
{
    /// <summary>A service all of whose monitors lie.</summary>
    public sealed class Host : IAsyncLifetime
    {
        private static string Liar => Path.Combine(Checkout.Source(), "tests", "Attacker", "bin", "Release", "net10.0", "attacker");

        public ServiceProcess Service { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Service = await ServiceProcess.StartAsync(settings: new() { ["WEBVM_MONITOR"] = Liar });

        public ValueTask DisposeAsync() => Service.DisposeAsync();
    }

    [Fact]
    public async Task Output_from_before_the_beginning_and_behind_the_end_is_passed_over()
    {
        var service = host.Service;
        string vm = await RunAsync(service, "serial");
        await RunningMachine.EventuallyAsync(
            service, async () => (await service.Client.SendAsync(HttpMethod.Get, vm + "/power")).Body!["state"]!.ToString() == "running");
        using var answer = await service.Client.GetAsync(vm + "/serial", Rest.Cancellation);
        Assert.Equal(new string('x', 100), await answer.Content.ReadAsStringAsync(Rest.Cancellation));
        await SwitchOffAsync(service, vm);
    }

    [Theory]
    [InlineData("flood")]
    [InlineData("paused")]
    public async Task One_that_always_has_news_is_looked_at_a_hundred_times_and_then_ten_times_a_second(string conduct)
    {
        var service = host.Service;
        string vm = await RunAsync(service, conduct);
        await Task.Delay(TimeSpan.FromSeconds(15), Rest.Cancellation);
        string log = Path.Combine(
            Directory.GetDirectories(Path.Combine(service.Data, "run")).MaxBy(Directory.GetCreationTimeUtc)!, "monitor.log");
        int asked = (await File.ReadAllLinesAsync(log, Rest.Cancellation)).Count(line => line == "status");
        Assert.InRange(asked, 10, 300);
        await SwitchOffAsync(service, vm);
    }

    [Fact]
    public async Task One_that_hardly_reads_is_switched_off_all_the_same_and_nobody_else_waits()
    {
        var service = host.Service;
        string vm = await RunAsync(service, "slow");
        using var leaving = new CancellationTokenSource();
        // Two of them are more than the socket holds.
        var inputs =
            Enumerable.Range(0, 100)
                .Select(_ => service.Client.PostAsync(vm + "/serial", new ByteArrayContent(new byte[60_000]), leaving.Token)).ToArray();
        await Task.Delay(TimeSpan.FromSeconds(3), Rest.Cancellation);
        long start = Stopwatch.GetTimestamp();
        for (int other = 0; other < 10; other++)
        {
            Assert.Equal(HttpStatusCode.OK, (await service.Client.SendAsync(HttpMethod.Get, "/api/v1/session")).Status);
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5), $"Others waited {Stopwatch.GetElapsedTime(start)}.");
        await SwitchOffAsync(service, vm);
        await leaving.CancelAsync();
        await Task.WhenAny(Task.WhenAll(inputs));
    }

    [Fact]
    public async Task What_it_says_of_itself_is_a_problem_of_its_own_machine_alone()
    {
        var service = host.Service;
        string vm = await RunAsync(service, "other");
        await RunningMachine.EventuallyAsync(
            service, async () => (await service.Client.SendAsync(HttpMethod.Get, vm + "/power")).Body!["state"]!.ToString() == "running");
        Assert.Equal(HttpStatusCode.Conflict, (await service.Client.SendAsync(HttpMethod.Get, vm + "/enlightenments")).Status);
        using var written = await service.Client.PostAsync(vm + "/serial", new ByteArrayContent([1, 2, 3]), Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Conflict, written.StatusCode);
        // A sample of all machines is taken every two seconds.
        await Task.Delay(TimeSpan.FromSeconds(5), Rest.Cancellation);
        using var metrics = await service.Client.GetAsync("/metrics", Rest.Cancellation);
        Assert.Equal(HttpStatusCode.OK, metrics.StatusCode);
        // What it says of a failure goes into the database, which takes no zeros.
        var (_, operation, _) = await service.Client.SendAsync(HttpMethod.Post, vm + "/snapshots", new { name = "never" });
        var ended = await service.Client.EndAsync(operation!);
        Assert.Equal("failed", (string)ended["state"]!);
        Assert.InRange(((string)ended["error"]!).Length, 20, 1100);
        await SwitchOffAsync(service, vm);
    }

    private static async Task<string> RunAsync(ServiceProcess service, string conduct)
    {
        var vm = await service.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(service.Client), conduct + Rest.NewName("-liar"), "never"));
        await service.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=5", new { action = "on" });
        return $"/api/v1/vms/{vm["id"]}";
    }

    private static async Task SwitchOffAsync(ServiceProcess service, string vm)
    {
        await service.Client.SendAsync(HttpMethod.Put, vm + "/power", new { action = "off" });
        await RunningMachine.EventuallyAsync(
            service, async () => (await service.Client.SendAsync(HttpMethod.Get, vm + "/power")).Body!["state"]!.ToString() == "off");
    }
}
