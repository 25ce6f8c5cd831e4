using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace WebVm.Api.Tests.Audit;

/// <summary>The audit trail misses nothing: not what was refused, nor what could not be read, nor what failed.</summary>
public sealed class AuditTests : IAsyncLifetime
{
    private const string Password = "correct horse battery staple";

    private ServiceProcess _service = null!;

    public async ValueTask InitializeAsync() => _service = await ServiceProcess.StartAsync(settings: Guests.Settings());

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task Every_change_that_is_tried_has_one_record_however_it_is_answered()
    {
        var vm = await _service.Client.CreateVmAsync(new { name = "audited" });
        string path = $"/api/v1/vms/{vm["id"]}";
        // Whoever is refused before it has sent all meets a closed connection; one that asks first has the answer.
        using var client = Rest.AskingClient(_service);
        foreach (var (method, where, body, header, expected) in ((HttpMethod, string, object?, (string, string), int)[])[
            (HttpMethod.Post, "/api/v1/vms", "{", ("X-None", ""), 422),
            (HttpMethod.Post, "/api/v1/vms", "null", ("X-None", ""), 400),
            (HttpMethod.Post, "/api/v1/vms", $$"""{"name":"{{new string('x', 2 << 20)}}"}""", ("X-None", ""), 413),
            (HttpMethod.Patch, path, """{"cpus":"many"}""", ("X-None", ""), 422),
            (HttpMethod.Patch, path, new { description = "x" }, ("If-Match", "\"99\""), 412),
            (HttpMethod.Put, path + "/power", new { action = "fly" }, ("X-None", ""), 422),
            (HttpMethod.Put, path + "/power", new { action = "pause" }, ("X-None", ""), 409),
            (HttpMethod.Delete, "/api/v1/nothing", null, ("X-None", ""), 404),
            (HttpMethod.Delete, path, null, ("Origin", "https://evil.example"), 403)])
        {
            var before = await RecordsAsync();
            Assert.Equal(expected, (int)(await client.SendAsync(method, where, body, header)).Status);
            var added = (await RecordsAsync())[before.Count..];
            Assert.Equal([("preset-token", method.Method, where, expected)], added);
        }
    }

    [Fact]
    public async Task Who_may_not_is_named()
    {
        await _service.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name = "visitor", role = "viewer", password = Password });
        using var browser = Browser();
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "visitor", password = "wrong" })).Status);
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "my secret pass phrase", password = "" })).Status);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await browser.SendAsync(HttpMethod.Post, "/api/v1/session", "{")).Status);
        Assert.Equal(
            HttpStatusCode.OK, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "visitor", password = Password })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await browser.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = "mine" })).Status);
        Assert.Equal(
            HttpStatusCode.Forbidden, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/vms", new { name = "forged" }, ("Sec-Fetch-Site", "cross-site"))).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await browser.SendAsync(HttpMethod.Delete, "/api/v1/session")).Status);
        Assert.Equal(
            [
                ("visitor", "POST", "/api/v1/session", 401), ("anonymous", "POST", "/api/v1/session", 401),
                ("anonymous", "POST", "/api/v1/session", 422), ("visitor", "POST", "/api/v1/session", 200),
                ("visitor", "POST", "/api/v1/vms", 403), ("visitor", "POST", "/api/v1/vms", 403),
                ("visitor", "DELETE", "/api/v1/session", 204),
            ],
            (await RecordsAsync())[1..]);
    }

    [Fact]
    public async Task Sign_ins_by_link_are_recorded_and_those_turned_away_unheard_once()
    {
        string link = _service.Output.Split().First(word => word.Contains("/sign-in/link?code=", StringComparison.Ordinal));
        using var browser = Browser();
        using (var used = await browser.GetAsync(new Uri(link), Rest.Cancellation))
        {
            Assert.Equal("/", used.Headers.Location?.OriginalString);
        }

        using var stranger = Browser();
        HttpStatusCode status = default;
        for (int i = 0; i < 20; i++)
        {
            using var refused = await stranger.GetAsync(new Uri(link), Rest.Cancellation);
            status = refused.StatusCode;
        }

        Assert.Equal(HttpStatusCode.TooManyRequests, status);
        Assert.Equal(
            HttpStatusCode.Forbidden, (await stranger.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "a", password = "b" }, ("Origin", "https://evil.example"))).Status);
        var records = await RecordsAsync();
        Assert.Equal(("admin", "GET", "/sign-in/link", 302), records[0]);
        Assert.Contains(("anonymous", "GET", "/sign-in/link", 401), records);
        // A minute may have begun anew in the midst of it; each has one of those.
        Assert.InRange(records.Count(record => record.Status is 429 or 403), 1, 2);
        Assert.DoesNotContain(records, record => record.Target.Contains("code", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_fails_is_recorded_and_so_is_what_was_answered_a_moment_before_the_service_was_killed()
    {
        await using (var database = Databases.Of(_service).CreateDbContext())
        {
            await database.Database.ExecuteSqlAsync($"ALTER TABLE tokens RENAME TO elsewhere", Rest.Cancellation);
            Assert.Equal(
                HttpStatusCode.InternalServerError, (await _service.Client.SendAsync(
                    HttpMethod.Delete, $"/api/v1/tokens/{Guid.Empty}")).Status);
            await database.Database.ExecuteSqlAsync($"ALTER TABLE elsewhere RENAME TO tokens", Rest.Cancellation);
        }

        Assert.Equal([("preset-token", "DELETE", $"/api/v1/tokens/{Guid.Empty}", 500)], await RecordsAsync());
        using var request = new HttpRequestMessage(
            HttpMethod.Post, "/api/v1/vms") { Content = new StringContent(
                """{"name":"last"}""", new MediaTypeHeaderValue("application/json")) };
        using (var answer = await _service.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation))
        {
            Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
            await _service.KillAsync();
        }

        await _service.StartAgainAsync();
        Assert.Equal(("preset-token", "POST", "/api/v1/vms", 201), (await RecordsAsync())[^1]);
    }

    /// <summary>A browser with cookies that does not follow where it is led.</summary>
    private HttpClient Browser() =>
        new(new HttpClientHandler { CookieContainer = new CookieContainer(),
            AllowAutoRedirect = false }) { BaseAddress = _service.Address };

    /// <summary>Who, what, on what, and the outcome, oldest first.</summary>
    private async Task<List<(string Actor, string Action, string Target, int Status)>> RecordsAsync()
    {
        var (_, audit, _) = await _service.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=1000");
        return [.. audit!["items"]!.AsArray().Reverse().Select(Record)];
    }

    private static (string Actor, string Action, string Target, int Status) Record(JsonNode? record) =>
        ((string)record!["actor"]!, (string)record["action"]!, (string)record["target"]!, (int)record["status"]!);
}
