using System.Net;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Operations;
using Xunit;

namespace WebVm.Api.Tests.Operations;

/// <summary>Operations that are too many, that are cancelled before they begin, and that work on what goes away.</summary>
public sealed class OperationTests
{
    private const string Kind = "test.none";

    [Fact]
    public async Task Operations_under_way_are_bounded_for_a_VM_and_in_all()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var full = await service.Client.CreateVmAsync(new { name = Rest.NewName("full") });
        var other = await service.Client.CreateVmAsync(new { name = Rest.NewName("other") });
        await using var database = Databases.Of(service).CreateDbContext();
        await AddAsync(database, OperationRunner.MostForOneVm, (Guid)full["id"]!);
        (string Name, string Value) key = ("Idempotency-Key", Guid.NewGuid().ToString());
        foreach (var (method, path, body) in ((HttpMethod, string, object?)[])[
            (HttpMethod.Put, "/power", new { action = "on" }),
            (HttpMethod.Post, "/snapshots", new { name = "s" })])
        {
            var (status, problem, headers) = await service.Client.SendAsync(method, $"/api/v1/vms/{full["id"]}{path}", body, key);
            Assert.Equal(HttpStatusCode.TooManyRequests, status);
            Assert.EndsWith(":too-many-requests", (string)problem!["type"]!, StringComparison.Ordinal);
            Assert.NotNull(headers.RetryAfter);
        }

        Assert.Equal(
            HttpStatusCode.Accepted, (await service.Client.SendAsync(
                HttpMethod.Put, $"/api/v1/vms/{other["id"]}/power?wait=30", new { action = "off" })).Status);
        await AddAsync(database, OperationRunner.MostInAll - OperationRunner.MostForOneVm, null);
        var (refused, _, wait) = await service.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{other["id"]}/power", new { action = "on" });
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused);
        Assert.NotNull(wait.RetryAfter);
        Assert.Equal(
            HttpStatusCode.Accepted, (await service.Client.SendAsync(
                HttpMethod.Put, $"/api/v1/vms/{other["id"]}/power", new { action = "off" })).Status);

        await database.Operations.Where(o => o.Kind == Kind).ExecuteDeleteAsync(Rest.Cancellation);
        // The refusal is not remembered as the answer to the key.
        Assert.Equal(
            HttpStatusCode.Accepted, (await service.Client.SendAsync(
                HttpMethod.Post, $"/api/v1/vms/{full["id"]}/snapshots", new { name = "s" }, key)).Status);
    }

    [Fact]
    public async Task A_machine_can_be_switched_off_and_deleted_whatever_waits()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service);
        await using var database = Databases.Of(service).CreateDbContext();
        await AddAsync(database, OperationRunner.MostForOneVm, id);
        Assert.Equal(
            HttpStatusCode.TooManyRequests, (await service.Client.SendAsync(HttpMethod.Put, power, new { action = "shutdown" })).Status);
        var (status, off, _) = await service.Client.SendAsync(HttpMethod.Put, power, new { action = "off" });
        Assert.Equal(HttpStatusCode.Accepted, status);
        await RunningMachine.EventuallyAsync(service, async () => await RunningMachine.StateAsync(service, power) == "off");
        Assert.Equal(
            "succeeded", (string)(await service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/operations/{off!["id"]}?wait=60")).Body!["state"]!);
        await database.Operations.Where(o => o.VmId == id && o.Kind == Kind).ExecuteDeleteAsync(Rest.Cancellation);

        Assert.Equal(
            "succeeded", (string)(await service.Client.SendAsync(
                HttpMethod.Put, power + "?wait=60", new { action = "on" })).Body!["state"]!);
        await AddAsync(database, OperationRunner.MostForOneVm, id);
        // A monitor that keeps silent takes its time to go.
        await service.SignalMonitorsAsync("STOP");
        // Asked for again while it stands, it is the same operation: their number is bounded.
        string?[] offs = [.. await Task.WhenAll(
            Enumerable.Range(0, 8)
                .Select(async _ => (string?)(await service.Client.SendAsync(HttpMethod.Put, power, new { action = "off" })).Body!["id"]))];
        Assert.Single(offs.Distinct());
        string?[] deletions = [.. await Task.WhenAll(
            Enumerable.Range(0, 8)
                .Select(async _ =>
                    (string?)(await service.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}?force=true")).Body!["id"]))];
        Assert.Single(deletions.Distinct());
        Assert.Equal(
            "succeeded", (string)(await service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/operations/{deletions[0]}?wait=60")).Body!["state"]!);
        Assert.Equal(HttpStatusCode.NotFound, (await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms/{id}")).Status);
    }

    [Fact]
    public async Task What_is_cancelled_before_its_turn_leaves_nothing()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, power) = await RunningMachine.RunAsync(service);
        // The guest does not hear the button; but a deletion has the machine switched off at once, and so ends the wait for its shutdown.
        // That end cannot be written down while the row is locked: whatever comes now waits for its turn.
        var first = (await service.Client.SendAsync(HttpMethod.Put, power, new { action = "shutdown", deadlineSeconds = 600 })).Body!;
        await RunningMachine.EventuallyAsync(
            service, async () => (await OperationAsync(service, first))["progress"]!.GetValue<int>() == 10);
        await using var database = Databases.Of(service).CreateDbContext();
        await using (var transaction = await database.Database.BeginTransactionAsync(Rest.Cancellation))
        {
            Assert.Equal(
                1, await database.Database.ExecuteSqlAsync(
                    $"UPDATE operations SET progress = progress WHERE id = {(Guid)first["id"]!}", Rest.Cancellation));
            var snapshot = (await service.Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{id}/snapshots", new { name = "never" })).Body!;
            var deletion = (await service.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}?force=true")).Body!;
            await RunningMachine.EventuallyAsync(service, async () => await RunningMachine.StateAsync(service, power) == "off");
            JsonNode[] waiting = [deletion, snapshot];
            foreach (var operation in waiting)
            {
                Assert.Equal(
                    HttpStatusCode.OK, (await service.Client.SendAsync(
                        HttpMethod.Post, $"/api/v1/operations/{operation["id"]}/cancel")).Status);
            }

            await transaction.RollbackAsync(Rest.Cancellation);
            foreach (var operation in waiting)
            {
                Assert.Equal("cancelled", (string)(await OperationAsync(service, operation, wait: 60))["state"]!);
            }
        }

        Assert.Equal("succeeded", (string)(await OperationAsync(service, first))["state"]!);
        Assert.Empty((await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms/{id}/snapshots")).Body!["items"]!.AsArray());
        var again = (await service.Client.SendAsync(HttpMethod.Put, power + "?wait=60", new { action = "on" })).Body!;
        Assert.Equal("succeeded", (string)again["state"]!);
    }

    [Fact]
    public async Task Operations_on_a_VM_are_carried_out_as_they_were_asked_for()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var vm = await service.Client.CreateVmAsync(new { name = Rest.NewName("order") });
        await using var database = Databases.Of(service).CreateDbContext();
        Guid[] asked = [.. Enumerable.Range(0, OperationRunner.MostForOneVm).Select(_ => Guid.CreateVersion7())];
        foreach (var id in asked.Order())
        {
            database.Operations.Add(new() { Id = id, Kind = Kind, Target = "/", VmId = (Guid)vm["id"]!, Input = "{}" });
        }

        await database.SaveChangesAsync(Rest.Cancellation);
        await service.StopAsync();
        await service.StartAgainAsync();
        await RunningMachine.EventuallyAsync(
            service, () => database.Operations.AllAsync(o => o.Kind != Kind || o.FinishedAt != null, Rest.Cancellation));
        Assert.Equal(
            asked.Order(), await database.Operations.Where(o => o.Kind == Kind).OrderBy(o => o.StartedAt).Select(o => o.Id)
                .ToListAsync(Rest.Cancellation));
    }

    [Fact]
    public async Task A_forced_shutdown_does_not_overrule_a_later_request()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (_, power) = await RunningMachine.RunAsync(service);
        var shutdown =
            (await service.Client.SendAsync(HttpMethod.Put, power, new { action = "shutdown", deadlineSeconds = 10, force = true })).Body!;
        await service.Client.SendAsync(HttpMethod.Put, power, new { action = "on" });
        var ended = (await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{shutdown["id"]}?wait=60")).Body!;
        Assert.Equal("Another power request came after this one.", (string)ended["error"]!);
        Assert.Equal("running", await RunningMachine.StateAsync(service, power));
    }

    [Fact]
    public async Task Who_follows_the_serial_line_of_a_VM_that_is_deleted_sees_its_end()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var (id, _) = await RunningMachine.RunAsync(service);
        await RunningMachine.EventuallyAsync(
            service, async () => await service.Client.GetStringAsync($"/api/v1/vms/{id}/serial", Rest.Cancellation) == "R\n");
        using var answer = await service.Client.GetAsync(
            $"/api/v1/vms/{id}/serial?follow=true", HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
        var all = answer.Content.ReadAsStringAsync(Rest.Cancellation);
        var deletion = (await service.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{id}?force=true&wait=60")).Body!;
        Assert.Equal("succeeded", (string)deletion["state"]!);
        Assert.StartsWith("R", await all.WaitAsync(TimeSpan.FromMinutes(2), Rest.Cancellation), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(service.Data, "vms", id.ToString("N"))));
    }

    private static async Task<JsonNode> OperationAsync(ServiceProcess service, JsonNode operation, int wait = 0) =>
        (await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{operation["id"]}?wait={wait}")).Body!;

    private static async Task AddAsync(DbContext database, int count, Guid? vm) =>
        await database.Database.ExecuteSqlAsync(
            $"""
            INSERT INTO operations (id, kind, target, vm_id, state, progress, cancel_requested, input, created_at)
            SELECT gen_random_uuid(), {Kind}, '/', {vm}::uuid, 'pending', 0, false, jsonb_build_object(), now() FROM generate_series(1, {count})
            """,
            Rest.Cancellation);
}
