using System.Net;
using System.Text.Json.Nodes;
using WebVm.Api.Identity;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>What a right makes of another has never more than itself, in scope or in time.</summary>
public sealed class DelegationTests(SharedService shared)
{
    private static readonly string[] s_admin = [Scopes.Admin];

    private ServiceProcess Service => shared.Service;

    [Fact]
    public async Task A_token_outlives_neither_the_token_that_made_it_nor_its_revocation()
    {
        var end = DateTimeOffset.UtcNow.AddHours(1);
        var (parent, _) = await Service.WithTokenAsync(shared.Client, expiresAt: end);
        var (_, problem, _) = await parent.SendAsync(
            HttpMethod.Post, "/api/v1/tokens", new { name = "longer", expiresAt = end.AddSeconds(1) });
        Assert.Equal(["/expiresAt"], Rest.Pointers(problem));
        var (child, unsaid) = await Service.WithTokenAsync(parent);
        Assert.Equal(end.ToUnixTimeMilliseconds(), ((DateTimeOffset)unsaid["expiresAt"]!).ToUnixTimeMilliseconds());
        var (grandchild, shorter) = await Service.WithTokenAsync(child, expiresAt: end.AddMinutes(-1));
        Assert.True((DateTimeOffset)shorter["expiresAt"]! < end);
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{unsaid["id"]}")).Status);
        Assert.Equal(HttpStatusCode.OK, await parent.StatusAsync());
        Assert.Equal(HttpStatusCode.Unauthorized, await child.StatusAsync());
        Assert.Equal(HttpStatusCode.Unauthorized, await grandchild.StatusAsync());
    }

    [Fact]
    public async Task Generations_of_tokens_are_bounded()
    {
        var (client, _) = await Service.WithTokenAsync(shared.Client);
        for (int generation = 1; generation < TokenEndpoints.MostGenerations; generation++)
        {
            (client, _) = await Service.WithTokenAsync(client);
        }

        Assert.Equal(HttpStatusCode.Conflict, (await client.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = "more" })).Status);
    }

    [Fact]
    public async Task A_token_sees_and_revokes_itself_and_what_it_made_unless_it_may_more()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        using var browser = await Service.SignInAsync(name);
        var (reader, first) = await Service.WithTokenAsync(browser, new[] { Scopes.VmsRead });
        var (keeper, second) = await Service.WithTokenAsync(browser, new[] { Scopes.Account });
        var (_, made) = await Service.WithTokenAsync(reader);
        Assert.Equal(Ids(first, made), await SeenAsync(reader));
        Assert.Equal(HttpStatusCode.OK, (await reader.SendAsync(HttpMethod.Get, $"/api/v1/tokens/{made["id"]}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await reader.SendAsync(HttpMethod.Get, $"/api/v1/tokens/{second["id"]}")).Status);
        Assert.Equal(HttpStatusCode.OK, (await keeper.SendAsync(HttpMethod.Get, $"/api/v1/tokens/{first["id"]}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, await RevokeAsync(reader, second));
        Assert.Equal(HttpStatusCode.NoContent, await RevokeAsync(reader, made));
        Assert.Equal(Ids(first, second), await SeenAsync(keeper));
        Assert.Equal(Ids(first, second), await SeenAsync(browser));
        // Itself: the answer comes all the same.
        Assert.Equal(HttpStatusCode.NoContent, await RevokeAsync(reader, first));
        Assert.Equal(HttpStatusCode.Unauthorized, await reader.StatusAsync());
        Assert.Equal(HttpStatusCode.NoContent, await RevokeAsync(keeper, second));
    }

    [Fact]
    public async Task The_scope_admin_alone_makes_nobody_who_may_more()
    {
        var (admin, _) = await Service.WithTokenAsync(shared.Client, s_admin);
        var (_, viewer) = await Service.AddUserAsync("viewer");
        foreach (string role in new[] { "viewer", "operator", "admin" })
        {
            Assert.Equal(
                HttpStatusCode.Forbidden, (await admin.SendAsync(
                    HttpMethod.Post, "/api/v1/users", new { name = Rest.NewName(), role, password = Accounts.Password })).Status);
        }

        foreach (object more in new object[] { new { role = "operator" }, new { role = "admin" }, new { password = Accounts.Password },
            new { role = "viewer", password = Accounts.Password } })
        {
            Assert.Equal(HttpStatusCode.Forbidden, (await admin.SendAsync(HttpMethod.Patch, viewer, more)).Status);
        }

        // Less of a right is no right: somebody may be disabled, but not let in again.
        Assert.Equal(HttpStatusCode.OK, (await admin.SendAsync(HttpMethod.Patch, viewer, new { disabled = true })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await admin.SendAsync(HttpMethod.Patch, viewer, new { disabled = false })).Status);
        var (_, second) = await Service.AddUserAsync("operator");
        Assert.Equal(HttpStatusCode.OK, (await admin.SendAsync(HttpMethod.Patch, second, new { role = "viewer" })).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await admin.SendAsync(HttpMethod.Delete, viewer)).Status);
    }

    [Fact]
    public async Task A_token_that_expires_makes_nothing_that_lasts()
    {
        var (brief, _) = await Service.WithTokenAsync(shared.Client, Scopes.All, DateTimeOffset.UtcNow.AddHours(1));
        var (_, viewer) = await Service.AddUserAsync("viewer");
        Assert.Equal(
            HttpStatusCode.Forbidden, (await brief.SendAsync(
                HttpMethod.Post, "/api/v1/users", new { name = Rest.NewName(), role = "viewer", password = Accounts.Password })).Status);
        Assert.Equal(
            HttpStatusCode.Forbidden, (await brief.SendAsync(HttpMethod.Patch, viewer, new { password = Accounts.Password })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await brief.SendAsync(HttpMethod.Patch, viewer, new { role = "admin" })).Status);
        var (lasting, _) = await Service.WithTokenAsync(shared.Client, Scopes.All);
        Assert.Equal(HttpStatusCode.OK, (await lasting.SendAsync(HttpMethod.Patch, viewer, new { role = "operator" })).Status);
    }

    [Fact]
    public async Task A_token_makes_no_password_of_its_user_where_there_is_none()
    {
        // What the preset token makes belongs to the first administrator, who came by the link.
        var (keeper, _) = await Service.WithTokenAsync(shared.Client, new[] { Scopes.Account });
        Assert.Equal(
            HttpStatusCode.Forbidden, (await keeper.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { password = Accounts.Password })).Status);
        Assert.Equal(
            HttpStatusCode.Conflict, (await shared.Client.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { password = Accounts.Password })).Status);
    }

    [Theory]
    [InlineData("preset-token")]
    [InlineData("anonymous")]
    public async Task No_user_has_a_name_under_which_somebody_else_acts(string name)
    {
        var (status, problem, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password = Accounts.Password });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal(["/name"], Rest.Pointers(problem));
    }

    private static IEnumerable<string> Ids(params JsonNode[] tokens) => tokens.Select(token => (string)token["id"]!).Order();

    private static async Task<IEnumerable<string>> SeenAsync(HttpClient client) =>
        (await client.SendAsync(HttpMethod.Get, "/api/v1/tokens")).Body!["items"]!.AsArray().Select(token => (string)token!["id"]!).Order();

    private static async Task<HttpStatusCode> RevokeAsync(HttpClient client, JsonNode token) =>
        (await client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{token["id"]}")).Status;
}
