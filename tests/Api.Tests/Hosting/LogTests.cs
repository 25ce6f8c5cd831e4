using System.Net;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Console;
using WebVm.Api.Tests.Console;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>What the service's log tells its owner, and what it does not bother them with.</summary>
public sealed class LogTests
{
    [Fact]
    public async Task What_is_refused_for_its_content_is_no_error_and_what_the_database_fails_at_is()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        var client = service.Client;
        string name = Rest.NewName("log");
        var vm = await client.CreateVmAsync(new { name });
        await client.CreateVmAsync(new { name = name + "-2" });
        string path = $"/api/v1/vms/{vm["id"]}";
        (string, string) key = ("Idempotency-Key", name);
        foreach (var (method, where, body, header, expected) in ((HttpMethod, string, object?, (string, string), int)[])[
            (HttpMethod.Post, "/api/v1/vms", new { name }, ("X-None", ""), 409),
            (HttpMethod.Post, "/api/v1/vms", new { name = name + "-3" }, key, 201),
            (HttpMethod.Post, "/api/v1/vms", new { name = name + "-3" }, key, 201),
            (HttpMethod.Patch, path, new { name = name + "-2" }, ("X-None", ""), 409),
            (HttpMethod.Post, "/api/v1/images", new { name = "tiny", kind = "iso", bytes = 1 }, ("X-None", ""), 409),
            (HttpMethod.Post, "/api/v1/users", new { name = "admin", role = "viewer", password = "correct horse battery" }, ("X-None", ""),
                409),
            (HttpMethod.Post, path + "/snapshots?wait=30", new { name = "s" }, ("X-None", ""), 202),
            (HttpMethod.Post, path + "/snapshots", new { name = "s" }, ("X-None", ""), 409),
            (HttpMethod.Get, "/api/v1/vms?q=%00", null, ("X-None", ""), 400),
            (HttpMethod.Patch, path, """{"description":"\u0000"}""", ("X-None", ""), 400),
            (HttpMethod.Post, "/api/v1/vms", "{", ("X-None", ""), 422),
            (HttpMethod.Patch, path, new { description = "x" }, ("If-Match", "\"7\""), 412)])
        {
            Assert.Equal(expected, (int)(await client.SendAsync(method, where, body, header)).Status);
        }

        // Changes at once: some find that another was there before, by the row's revision.
        var (_, user, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password = "correct horse battery" });
        var changes = await Task.WhenAll(
            Enumerable.Range(0, 12)
                .Select(i => client.SendAsync(HttpMethod.Patch, $"/api/v1/users/{user!["id"]}", new { disabled = i % 2 == 0 })));
        Assert.All(changes, answer => Assert.True(answer.Status is HttpStatusCode.OK or HttpStatusCode.PreconditionFailed));
        string token = (string)(await service.WithTokenAsync(client)).Token["token"]!;
        for (int i = 0; i < 3; i++)
        {
            await using var console = await HubClient.ConnectAsync(service.Address, token);
            Assert.NotNull(await console.InvokeAsync(nameof(ConsoleHub.OpenSerial), Guid.NewGuid().ToString(), 0L));
        }

        (_, var import, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/images?wait=30", new { name, kind = "iso", url = service.Address + "nothing.iso" });
        Assert.Equal("failed", (string)import!["state"]!);
        Assert.False(service.Output.Contains("fail:", StringComparison.Ordinal), service.Output);
        Assert.DoesNotContain("   at ", service.Output, StringComparison.Ordinal);

        await using var database = Databases.Of(service).CreateDbContext();
        await database.Database.ExecuteSqlAsync($"ALTER TABLE images RENAME TO elsewhere", Rest.Cancellation);
        Assert.Equal(HttpStatusCode.InternalServerError, (await client.SendAsync(HttpMethod.Get, "/api/v1/images")).Status);
        await RunningMachine.EventuallyAsync(
            service, () => Task.FromResult(service.Output.Contains("The database failed at a command", StringComparison.Ordinal)));
        Assert.Contains("42P01", service.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_that_is_away_is_told_in_a_line_and_not_a_second_later()
    {
        await using var service = await ServiceProcess.StartAsync();
        var (program, _) = await service.WithTokenAsync(service.Client);
        // It cannot be started again: so that the outage lasts.
        string control = Path.Combine(service.Data, "postgres", "data", "global", "pg_control");
        File.Move(control, control + ".away");
        await service.KillDatabaseAsync();
        await RunningMachine.EventuallyAsync(
            service, () => Task.FromResult(service.Output.Contains("The database does not answer", StringComparison.Ordinal)));
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => program.SendAsync(HttpMethod.Get, "/api/v1/vms")));
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Status));
        File.Move(control + ".away", control);
        await RunningMachine.EventuallyAsync(
            service, () => Task.FromResult(service.Output.Contains("The database answers again", StringComparison.Ordinal)));
        Assert.DoesNotContain("   at ", service.Output, StringComparison.Ordinal);
        string[] told = [.. service.Output.Split('\n').Where(line => line.Contains("does not answer", StringComparison.Ordinal))];
        // One a minute, if it took so long.
        Assert.InRange(told.Length, 1, 4);
    }
}
