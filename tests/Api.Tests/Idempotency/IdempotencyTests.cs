using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Idempotency;
using WebVm.Api.Persistence.Entities;
using Xunit;

namespace WebVm.Api.Tests.Idempotency;

public sealed class IdempotencyTests(SharedService shared)
{
    [Fact]
    public async Task A_repeated_post_gets_the_first_answer_with_its_headers()
    {
        string name = Rest.NewName();
        var key = ("Idempotency-Key", Guid.NewGuid().ToString());
        var first = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name }, key);
        await shared.Client.SendAsync(HttpMethod.Patch, $"/api/v1/vms/{first.Body!["id"]}", new { description = "later" });
        var second = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name }, key);
        Assert.Equal(HttpStatusCode.Created, second.Status);
        Assert.Equal(first.Body.ToJsonString(), second.Body!.ToJsonString());
        Assert.Equal(first.Headers.ETag, second.Headers.ETag);
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        Assert.Equal("true", second.Headers.GetValues("Idempotency-Replayed").Single());
        var other = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() }, key);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.Status);
    }

    [Fact]
    public async Task Of_many_at_once_with_one_key_one_does_the_work()
    {
        string name = Rest.NewName();
        var key = ("Idempotency-Key", Guid.NewGuid().ToString());
        var answers = await Task.WhenAll(
            Enumerable.Range(0, 12).Select(_ => shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name }, key)));
        // Whoever does not get the answer is told that it is being given.
        Assert.All(answers, answer => Assert.True(answer.Status is HttpStatusCode.Created or HttpStatusCode.Conflict));
        Assert.All(
            answers.Where(answer => answer.Status == HttpStatusCode.Conflict),
            answer => Assert.EndsWith(":conflict", (string)answer.Body!["type"]!, StringComparison.Ordinal));
        Assert.Single(
            answers.Where(answer => answer.Status == HttpStatusCode.Created).Select(answer => (string)answer.Body!["id"]!).Distinct());
    }

    [Fact]
    public async Task A_key_in_use_is_refused_and_free_again_once_its_holder_can_only_be_dead()
    {
        string name = Rest.NewName();
        await using var database = Databases.Of(shared.Service).CreateDbContext();
        string key = await LeaveAsync(shared.Client, database, name);
        Assert.Equal(HttpStatusCode.Conflict, (await PostAsync(shared.Client, name, key)).Status);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await PostAsync(shared.Client, Rest.NewName(), key)).Status);
        var longAgo = DateTimeOffset.UtcNow - IdempotencyFilter.LongestAnswer - TimeSpan.FromSeconds(1);
        await database.Idempotency.Where(record => record.Key == key)
            .ExecuteUpdateAsync(set => set.SetProperty(record => record.CreatedAt, longAgo), Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(shared.Client, name, key)).Status);
    }

    [Fact]
    public async Task A_key_that_a_killed_service_held_is_free_after_its_restart()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        string name = Rest.NewName();
        string key;
        await using (var database = Databases.Of(service).CreateDbContext())
        {
            key = await LeaveAsync(service.Client, database, name);
        }

        Assert.Equal(HttpStatusCode.Conflict, (await PostAsync(service.Client, name, key)).Status);
        await service.KillAsync();
        await service.StartAgainAsync();
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(service.Client, name, key)).Status);
    }

    [Fact]
    public async Task What_is_kept_of_a_request_tells_nothing_of_its_password()
    {
        const string Password = "correct horse battery";
        string body = $$"""{"name":"{{Rest.NewName()}}","role":"viewer","password":"{{Password}}"}""";
        string key = Guid.NewGuid().ToString();
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(
                HttpStatusCode.Created, (await shared.Client.SendAsync(
                    HttpMethod.Post, "/api/v1/users", body, ("Idempotency-Key", key))).Status);
        }

        await using var database = Databases.Of(shared.Service).CreateDbContext();
        var kept = await database.Idempotency.AsNoTracking().SingleAsync(record => record.Key == key, Rest.Cancellation);
        // Who guesses the password right cannot see it by what is kept.
        byte[] guess = SHA256.HashData(Encoding.UTF8.GetBytes("POST /api/v1/users\n" + body));
        Assert.Equal(-1, kept.RequestHash.AsSpan().IndexOf(guess));
        Assert.DoesNotContain(Password, Encoding.UTF8.GetString(kept.Body!), StringComparison.Ordinal);
    }

    private static Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseHeaders Headers)> PostAsync(
        HttpClient client, string name, string key) =>
        client.SendAsync(HttpMethod.Post, "/api/v1/vms", $$"""{"name":"{{name}}"}""", ("Idempotency-Key", key));

    /// <summary>What a service leaves that is killed while it answers.</summary>
    private static async Task<string> LeaveAsync(HttpClient client, DbContext database, string name)
    {
        string key = Guid.NewGuid().ToString();
        var made = await PostAsync(client, name, key);
        await client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{made.Body!["id"]}?wait=30");
        await database.Set<IdempotencyRecord>().Where(record => record.Key == key).ExecuteUpdateAsync(
            set => set.SetProperty(record => record.Status, (int?)null).SetProperty(record => record.CreatedAt, DateTimeOffset.UtcNow),
            Rest.Cancellation);
        return key;
    }
}
