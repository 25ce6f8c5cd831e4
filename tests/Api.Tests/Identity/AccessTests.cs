using System.Net;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace WebVm.Api.Tests.Identity;

public sealed class AccessTests(SharedService shared)
{
    // What anybody may ask for: whether the service lives, what it can do, and to be let in.
    private static readonly string[] s_open = ["POST /api/v1/session"];

    [Fact]
    public async Task No_endpoint_of_the_API_answers_a_stranger()
    {
        using var stranger = new HttpClient { BaseAddress = shared.Service.Address };
        int walked = 0;
        foreach (var (method, path) in await EndpointsAsync())
        {
            if (s_open.Contains($"{method} {path.TrimEnd('/')}"))
            {
                continue;
            }

            var (status, _, _) = await stranger.SendAsync(HttpMethod.Parse(method), path);
            Assert.True(status == HttpStatusCode.Unauthorized, $"{method} {path} answered {(int)status} to a stranger.");
            walked++;
        }

        Assert.True(walked > 25, $"Only {walked} endpoints were found.");
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.SendAsync(HttpMethod.Get, "/metrics")).Status);
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await stranger.SendAsync(HttpMethod.Post, "/hubs/console/negotiate?negotiateVersion=1")).Status);
    }

    [Fact]
    public async Task A_token_does_what_its_scopes_say_and_no_more()
    {
        var (reader, _) = await shared.Service.WithTokenAsync(shared.Client, new[] { "vms:read" });
        Assert.Equal(HttpStatusCode.OK, (await reader.SendAsync(HttpMethod.Get, "/api/v1/vms")).Status);
        Assert.Equal(
            HttpStatusCode.Forbidden, (await reader.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await reader.SendAsync(HttpMethod.Get, "/api/v1/users")).Status);
        var (status, problem, _) = await reader.SendAsync(
            HttpMethod.Post, "/api/v1/tokens", new { name = "more", scopes = new[] { "vms:write" } });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal(["/scopes/0"], Rest.Pointers(problem));
    }

    [Fact]
    public async Task A_revoked_token_is_refused()
    {
        var (_, token, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName() });
        using var client = shared.Service.Bearer((string)token!["token"]!);
        Assert.Equal(HttpStatusCode.OK, (await client.SendAsync(HttpMethod.Get, "/api/v1/session")).Status);
        await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{token["id"]}");
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.SendAsync(HttpMethod.Get, "/api/v1/session")).Status);
    }

    [Fact]
    public async Task An_expired_token_is_refused()
    {
        var (_, token, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName(), expiresAt = DateTimeOffset.UtcNow.AddHours(1) });
        using var client = shared.Service.Bearer((string)token!["token"]!);
        Assert.Equal(HttpStatusCode.OK, (await client.SendAsync(HttpMethod.Get, "/api/v1/session")).Status);
        var id = (Guid)token["id"]!;
        await using var database = Databases.Of(shared.Service).CreateDbContext();
        await database.Database.ExecuteSqlAsync(
            $"UPDATE tokens SET expires_at = now() - interval '1 second' WHERE id = {id}", Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.SendAsync(HttpMethod.Get, "/api/v1/session")).Status);
    }

    [Fact]
    public async Task Tokens_are_not_stored_or_shown_again()
    {
        var (_, token, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName() });
        string secret = (string)token!["token"]!;
        var (_, list, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/tokens");
        Assert.DoesNotContain(secret, list!.ToJsonString(), StringComparison.Ordinal);
        Assert.DoesNotContain(secret, shared.Service.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_password_signs_in_and_the_cookie_ends_with_the_user()
    {
        string name = Rest.NewName("user");
        const string password = "correct horse battery staple";
        var (_, user, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password });
        using var browser = new HttpClient(
            new HttpClientHandler { CookieContainer = new CookieContainer() }) { BaseAddress = shared.Service.Address };
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name, password = "wrong" })).Status);
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password })).Status);
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(HttpMethod.Get, "/api/v1/vms")).Status);
        Assert.Equal(
            HttpStatusCode.Forbidden, (await browser.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() })).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await browser.SendAsync(HttpMethod.Delete, "/api/v1/session")).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, (await browser.SendAsync(HttpMethod.Get, "/api/v1/vms")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/users/{user!["id"]}")).Status);
    }

    [Theory]
    [InlineData("Origin", "https://evil.example")]
    [InlineData("Sec-Fetch-Site", "cross-site")]
    public async Task Another_sites_changes_are_refused(string header, string value)
    {
        var (status, _, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() }, (header, value));
        Assert.Equal(HttpStatusCode.Forbidden, status);
        var own = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() },
            ("Origin", shared.Service.Address.GetLeftPart(UriPartial.Authority)));
        Assert.Equal(HttpStatusCode.Created, own.Status);
    }

    [Theory]
    [InlineData("/health/live")]
    [InlineData("/sign-in")]
    [InlineData("/api/v1/vms")]
    [InlineData("/api/v1/nothing-here")]
    [InlineData("/nothing-here")]
    [InlineData("/app.css")]
    public async Task Every_answer_carries_the_headers_that_protect_it(string path)
    {
        using var answer = await shared.Client.GetAsync(path, Rest.Cancellation);
        // Blazor adds a policy of its own; a browser keeps to both.
        string policy = answer.Headers.GetValues("Content-Security-Policy").First();
        Assert.Contains("script-src 'self'", policy, StringComparison.Ordinal);
        Assert.Contains("object-src 'none'", policy, StringComparison.Ordinal);
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", answer.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Equal("DENY", answer.Headers.GetValues("X-Frame-Options").Single());
        Assert.Equal("same-origin", answer.Headers.GetValues("Referrer-Policy").Single());
        Assert.Equal("same-origin", answer.Headers.GetValues("Cross-Origin-Opener-Policy").Single());
    }

    [Fact]
    public async Task No_change_is_taken_from_another_sites_page()
    {
        string name = Rest.NewName("user");
        const string password = "correct horse battery staple";
        var (_, user, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "admin", password });
        using var browser = new HttpClient(
            new HttpClientHandler { CookieContainer = new CookieContainer() }) { BaseAddress = shared.Service.Address };
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password })).Status);
        int walked = 0;
        foreach (var (method, path) in await EndpointsAsync())
        {
            if (method is "GET" or "HEAD")
            {
                continue;
            }

            foreach (var header in new[] { ("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Site", "same-site") })
            {
                var (status, problem, _) = await browser.SendAsync(HttpMethod.Parse(method), path, null, header);
                Assert.True(
                    status == HttpStatusCode.Forbidden && (string)problem!["title"]! == "Cross-site request refused",
                    $"{method} {path} with {header} answered {(int)status}.");
            }

            walked++;
        }

        Assert.True(walked > 15, $"Only {walked} endpoints were found.");
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/users/{user!["id"]}")).Status);
    }

    [Fact]
    public async Task No_endpoint_reads_a_body_without_bound()
    {
        var (_, document, _) = await shared.Client.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        string large = $$"""{"name":"{{new string('x', (1 << 20) + 1)}}"}""";
        // Whoever is refused before it has sent all meets a closed connection; one that asks first has the answer.
        using var client = Rest.AskingClient(shared.Service);
        int walked = 0;
        foreach (var (path, methods) in document!["paths"]!.AsObject())
        {
            foreach (var (method, _) in methods!.AsObject().Where(entry => entry.Value?["requestBody"] is not null))
            {
                var (status, _, _) = await client.SendAsync(HttpMethod.Parse(method), Concrete(path), large);
                Assert.True(
                    status == HttpStatusCode.RequestEntityTooLarge, $"{method} {path} answered {(int)status} to more than a mebibyte.");
                walked++;
            }
        }

        Assert.True(walked > 8, $"Only {walked} endpoints were found.");
    }

    [Theory]
    [InlineData("/api/v1/vms", "{}")]
    [InlineData("/api/v1/images", """{"kind":"iso","bytes":1}""")]
    [InlineData("/api/v1/users", """{"role":"viewer","password":"correct horse battery"}""")]
    [InlineData("/api/v1/tokens", "{}")]
    public async Task No_name_reaches_a_log_a_path_or_a_header_that_is_more_than_a_name(string path, string rest)
    {
        foreach (string name in new[] { "a\nwarn: forged", "a\r\nSet-Cookie: x=y", "../../etc/passwd", "a/b", "<script>",
            "\u001b]0;title\u0007", "a\";filename=x", ".hidden", "a\u202eb", "a\n" })
        {
            var body = System.Text.Json.Nodes.JsonNode.Parse(rest)!;
            body["name"] = name;
            var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, path, body.ToJsonString());
            Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
            Assert.Contains("/name", Rest.Pointers(problem));
        }

        Assert.DoesNotContain("forged", shared.Service.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_last_administrator_stays()
    {
        var (_, users, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/users");
        var admin = users!["items"]!.AsArray().Single(user => (string)user!["role"]! == "admin");
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/users/{admin!["id"]}")).Status);
        Assert.Equal(
            HttpStatusCode.Conflict, (await shared.Client.SendAsync(
                HttpMethod.Patch, $"/api/v1/users/{admin["id"]}", new { role = "viewer" })).Status);
    }

    private static string Concrete(string path) =>
        path.Replace("{id}", Guid.Empty.ToString(), StringComparison.Ordinal)
            .Replace("{snapshot}", Guid.Empty.ToString(), StringComparison.Ordinal);

    /// <summary>Every method and path that the API describes.</summary>
    private async Task<List<(string Method, string Path)>> EndpointsAsync()
    {
        var (_, document, _) = await shared.Client.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        return [.. document!["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject(), (path, method) => (method.Key.ToUpperInvariant(), Concrete(path.Key)))];
    }
}
