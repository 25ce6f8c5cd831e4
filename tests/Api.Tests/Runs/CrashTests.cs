using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>
/// Kills parts of the running whole at random points while clients work, and looks for what was promised and is gone. A few rounds in every
/// run; twenty in the long one.
/// </summary>
public sealed class CrashTests
{
    private const int FewRounds = 3;
    private const int ManyRounds = 20;

    public enum Victim
    {
        Service,
        Monitor,
        Database,
    }

    [Theory]
    [InlineData(Victim.Service)]
    [InlineData(Victim.Monitor)]
    [InlineData(Victim.Database)]
    public Task Nothing_acknowledged_is_lost(Victim victim) => RunAsync(victim, FewRounds, Environment.TickCount);

    [Theory(Explicit = true)]
    [InlineData(Victim.Service)]
    [InlineData(Victim.Monitor)]
    [InlineData(Victim.Database)]
    public Task Nothing_acknowledged_is_lost_in_many_rounds(Victim victim) => RunAsync(victim, ManyRounds, Environment.TickCount);

    [Fact]
    public Task A_saved_machine_is_there_when_the_service_died_while_saving() => SaveAsync(FewRounds, Environment.TickCount);

    [Fact(Explicit = true)]
    public Task A_saved_machine_is_there_when_the_service_died_while_saving_in_many_rounds() =>
        SaveAsync(ManyRounds, Environment.TickCount);

    private static async Task SaveAsync(int rounds, int seed)
    {
        var random = new Random(seed);
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var vm = await service.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(service.Client), Rest.NewName("saved"), restart: "always"));
        string power = $"/api/v1/vms/{vm["id"]}/power";
        // Nothing is saved before the guest has printed: it would do so after each save that came first.
        await service.Client.EndAsync((await service.Client.SendAsync(HttpMethod.Put, power, new { action = "on" })).Body!);
        await RunningMachine.EventuallyAsync(
            service, async () => await service.Client.GetStringAsync($"/api/v1/vms/{vm["id"]}/serial", Rest.Cancellation) == "R\n");
        for (int round = 0; round < rounds; round++)
        {
            string where = $"seed {seed}, round {round}";
            await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
            await AwaitAsync(
                service.Client, power, body => (string?)body?["state"] == "running", $"The VM did not start ({where}):\n{service.Output}");
            Assert.Equal(HttpStatusCode.Accepted, (await service.Client.SendAsync(HttpMethod.Put, power, new { action = "save" })).Status);
            await Task.Delay(random.Next(300), Rest.Cancellation);
            await service.KillAsync();
            await service.StartAgainAsync();
            await AwaitAsync(
                service.Client, power, body => (string?)body?["state"] == "saved", $"The VM was not saved ({where}):\n{service.Output}");
        }

        // A guest that goes on halts; one that was started anew would have printed again.
        await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" });
        Assert.Equal("R\n", await service.Client.GetStringAsync($"/api/v1/vms/{vm["id"]}/serial", Rest.Cancellation));
    }

    private static async Task RunAsync(Victim victim, int rounds, int seed)
    {
        var random = new Random(seed);
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string kernel = await IdleGuest.UploadAsync(service.Client);
        var running = await service.Client.CreateVmAsync(IdleGuest.Settings(kernel, Rest.NewName("steady"), restart: "always"));
        await service.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{running["id"]}/power?wait=60", new { action = "on" });
        var acknowledged = new Acknowledged();
        for (int round = 0; round < rounds; round++)
        {
            using var enough = new CancellationTokenSource();
            var work =
                Enumerable.Range(0, 3)
                    .Select(worker => WorkAsync(
                        service.Client, kernel, acknowledged, new Random(seed + (round * 10) + worker), enough.Token)).ToArray();
            await Task.Delay(random.Next(50, 1500), Rest.Cancellation);
            await KillAsync(service, victim);
            await enough.CancelAsync();
            await Task.WhenAll(work);
            if (victim == Victim.Service)
            {
                await service.StartAgainAsync();
            }

            await CheckAsync(service, acknowledged, (string)running["id"]!, $"seed {seed}, round {round}");
            // The owner's word ends the pauses that double with every crash.
            await service.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{running["id"]}/power?wait=60", new { action = "on" });
        }
    }

    private static async Task WorkAsync(
        HttpClient client, string kernel, Acknowledged acknowledged, Random random, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            try
            {
                string name = Rest.NewName("crash");
                var (status, vm, _) = await client.SendAsync(HttpMethod.Post, "/api/v1/vms", IdleGuest.Settings(kernel, name));
                if (status != HttpStatusCode.Created)
                {
                    continue;
                }

                string id = (string)vm!["id"]!;
                acknowledged.Cpus[id] = 1;
                int cpus = random.Next(2, 9);
                // Until there is an answer either may be true.
                acknowledged.Cpus[id] = null;
                if ((await client.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{id}", new { cpus })).Status == HttpStatusCode.OK)
                {
                    acknowledged.Cpus[id] = cpus;
                }

                if (random.Next(3) == 0)
                {
                    acknowledged.Cpus.TryRemove(id, out _);
                    var (accepted, operation, _) = await client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}");
                    if (accepted == HttpStatusCode.Accepted)
                    {
                        acknowledged.Operations[(string)operation!["id"]!] = id;
                    }
                }
            }
            catch (Exception failure) when (failure is HttpRequestException or OperationCanceledException or System.Text.Json.JsonException)
            {
                // Whatever was under way was not acknowledged.
            }
        }
    }

    private static Task KillAsync(ServiceProcess service, Victim victim) => victim switch
    {
        Victim.Service => service.KillAsync(),
        Victim.Monitor => service.KillMonitorsAsync(),
        _ => service.KillDatabaseAsync(),
    };

    private static async Task CheckAsync(ServiceProcess service, Acknowledged acknowledged, string running, string where)
    {
        await AwaitAsync(
            service.Client, $"/api/v1/vms/{running}/power", power => (string?)power?["state"] == "running",
            $"The running VM did not come back ({where}):\n{service.Output}");
        foreach (var (id, cpus) in acknowledged.Cpus)
        {
            var (status, vm) = await GetAsync(service.Client, $"/api/v1/vms/{id}");
            Assert.True(status == HttpStatusCode.OK, $"VM {id} was acknowledged and is gone ({where}).");
            Assert.True(cpus is null || (int)vm!["cpus"]! == cpus, $"VM {id} lost a setting ({where}).");
        }

        foreach (var (operation, id) in acknowledged.Operations)
        {
            await AwaitAsync(
                service.Client, $"/api/v1/operations/{operation}", body => (string?)body?["state"] == "succeeded",
                $"Operation {operation} has no result ({where}).");
            Assert.Equal(HttpStatusCode.NotFound, (await GetAsync(service.Client, $"/api/v1/vms/{id}")).Status);
        }
    }

    /// <summary>
    /// The answer of a service that has its database: a server process of a cluster that was killed may still have answered before this.
    /// </summary>
    private static async Task<(HttpStatusCode Status, JsonNode? Body)> GetAsync(HttpClient client, string path)
    {
        for (long start = Stopwatch.GetTimestamp(); ; await Task.Delay(100, Rest.Cancellation))
        {
            var (status, body, _) = await client.SendAsync(HttpMethod.Get, path);
            if (status != HttpStatusCode.ServiceUnavailable || Stopwatch.GetElapsedTime(start) > Rest.Patience)
            {
                return (status, body);
            }
        }
    }

    private static async Task AwaitAsync(HttpClient client, string path, Func<JsonNode?, bool> reached, string complaint)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            try
            {
                if (reached((await client.SendAsync(HttpMethod.Get, path)).Body))
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // Not back yet.
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail(complaint);
    }

    private sealed class Acknowledged
    {
        /// <summary>VMs that exist, with the number of CPUs last confirmed; null when an answer was lost.</summary>
        public System.Collections.Concurrent.ConcurrentDictionary<string, int?> Cpus { get; } = new();

        /// <summary>Accepted deletions, with their VM.</summary>
        public System.Collections.Concurrent.ConcurrentDictionary<string, string> Operations { get; } = new();
    }
}
