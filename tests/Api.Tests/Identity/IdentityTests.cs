using System.Net;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Identity;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>Users and tokens, at their limits.</summary>
public sealed class IdentityTests(SharedService shared)
{
    [Fact]
    public async Task Of_two_administrators_who_are_demoted_at_once_one_stays()
    {
        await using var service = await ServiceProcess.StartAsync();
        var (_, users, _) = await service.Client.SendAsync(HttpMethod.Get, "/api/v1/users");
        var (_, second, _) = await service.Client.SendAsync(
            HttpMethod.Post, "/api/v1/users", new { name = "second", role = "admin", password = "correct horse battery staple" });
        string[] both = [$"/api/v1/users/{users!["items"]![0]!["id"]}", $"/api/v1/users/{second!["id"]}"];
        for (int round = 0; round < 10; round++)
        {
            var answers = await Task.WhenAll(
                both.Select(user => service.Client.SendAsync(HttpMethod.Patch, user, new { role = "viewer" })));
            Assert.Equal([HttpStatusCode.OK, HttpStatusCode.Conflict], answers.Select(answer => answer.Status).Order());
            foreach (string user in both)
            {
                Assert.Equal(HttpStatusCode.OK, (await service.Client.SendAsync(HttpMethod.Patch, user, new { role = "admin" })).Status);
            }
        }

        var deletions = await Task.WhenAll(both.Select(user => service.Client.SendAsync(HttpMethod.Delete, user)));
        Assert.Equal([HttpStatusCode.NoContent, HttpStatusCode.Conflict], deletions.Select(answer => answer.Status).Order());
    }

    [Fact]
    public async Task Tokens_of_a_user_are_bounded()
    {
        var (_, user, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/users", new { name = Rest.NewName(
                "many"), role = "viewer", password = "correct horse battery staple" });
        using var browser = new HttpClient(
            new HttpClientHandler { CookieContainer = new CookieContainer() }) { BaseAddress = shared.Service.Address };
        await browser.SendAsync(
            HttpMethod.Post, "/api/v1/session", new { name = (string)user!["name"]!, password = "correct horse battery staple" });
        await using var database = Databases.Of(shared.Service).CreateDbContext();
        var owner = (Guid)user["id"]!;
        await database.Database.ExecuteSqlAsync(
            $"INSERT INTO tokens (id, name, user_id, secret_hash, scopes, created_at) SELECT gen_random_uuid(), 't', {owner}, sha256(n::text::bytea), ARRAY[]::text[], now() FROM generate_series(2, {TokenEndpoints.MostOfOneUser}) n",
            Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Created, (await browser.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = "last" })).Status);
        Assert.Equal(HttpStatusCode.Conflict, (await browser.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = "more" })).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/users/{owner}")).Status);
    }
}
