using System.Diagnostics;
using System.Net;
using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Identity;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>Sessions are the server's: a cookie is worth what its session is.</summary>
public sealed partial class SessionTests(SharedService shared)
{
    private const string NewPassword = "another horse, another staple";

    private ServiceProcess Service => shared.Service;

    [Fact]
    public async Task A_copy_of_a_cookie_is_dead_once_its_session_is_signed_out()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        var cookies = new CookieContainer();
        using var browser = await Service.SignInAsync(name, cookies: cookies);
        using var thief = Copy(cookies);
        Assert.Equal(HttpStatusCode.OK, await thief.StatusAsync());
        Assert.Equal(HttpStatusCode.NoContent, (await browser.SendAsync(HttpMethod.Delete, "/api/v1/session")).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, await thief.StatusAsync());
    }

    [Theory]
    [InlineData("""{"disabled":true}""", HttpStatusCode.Unauthorized)]
    [InlineData("""{"password":"another horse, another staple"}""", HttpStatusCode.OK)]
    [InlineData("""{"role":"operator"}""", HttpStatusCode.OK)]
    public async Task What_an_administrator_does_to_a_user_is_done_to_their_sessions_at_once(string change, HttpStatusCode token)
    {
        var (name, path) = await Service.AddUserAsync("viewer");
        using var browser = await Service.SignInAsync(name);
        var (program, _) = await Service.WithTokenAsync(browser);
        Assert.Equal(HttpStatusCode.OK, await browser.StatusAsync());
        Assert.Equal(HttpStatusCode.OK, (await shared.Client.SendAsync(HttpMethod.Patch, path, change)).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, await browser.StatusAsync());
        Assert.Equal(token, await program.StatusAsync());
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, path)).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, await program.StatusAsync());
    }

    [Fact]
    public async Task Users_see_and_end_their_own_sessions_and_nobody_elses()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        using var first = await Service.SignInAsync(name);
        using var second = await Service.SignInAsync(name);
        using var other = await Service.SignInAsync((await Service.AddUserAsync("operator")).Name);
        first.DefaultRequestHeaders.UserAgent.ParseAdd("Test/1.0");
        using var third = Service.Browser();
        third.DefaultRequestHeaders.UserAgent.ParseAdd("Test/1.0");
        Assert.Equal(
            HttpStatusCode.OK, (await third.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name, password = Accounts.Password })).Status);
        var sessions = (await first.SendAsync(HttpMethod.Get, "/api/v1/sessions")).Body!["items"]!.AsArray();
        Assert.Equal(3, sessions.Count);
        Assert.Single(sessions, session => (bool)session!["current"]!);
        var named = Assert.Single(sessions, session => (string?)session!["agent"] == "Test/1.0");
        Assert.Equal("127.0.0.1", (string)named!["address"]!);
        string path = $"/api/v1/sessions/{named["id"]}";
        Assert.Equal(HttpStatusCode.NotFound, (await other.SendAsync(HttpMethod.Delete, path)).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await first.SendAsync(HttpMethod.Delete, path)).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, await third.StatusAsync());
        Assert.Equal(HttpStatusCode.NoContent, (await first.SendAsync(HttpMethod.Delete, "/api/v1/sessions")).Status);
        Assert.Equal(HttpStatusCode.OK, await first.StatusAsync());
        Assert.Equal(HttpStatusCode.Unauthorized, await second.StatusAsync());
        Assert.Equal(HttpStatusCode.OK, await other.StatusAsync());
        var (reader, _) = await Service.WithTokenAsync(first, new[] { Scopes.VmsRead });
        Assert.Equal(HttpStatusCode.Forbidden, await reader.StatusAsync("/api/v1/sessions"));
    }

    [Fact]
    public async Task Users_change_their_own_password_by_the_old_one_and_their_other_sessions_end()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        using var own = await Service.SignInAsync(name);
        using var other = await Service.SignInAsync(name);
        foreach (var (current, password, pointer) in new[] { ("wrong", NewPassword, "/current"), (null, NewPassword, "/current"),
            (Accounts.Password, "short", "/password") })
        {
            var (status, problem, _) = await own.SendAsync(HttpMethod.Put, "/api/v1/session/password", new { current, password });
            Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
            Assert.Equal([pointer!], Rest.Pointers(problem));
        }

        Assert.Equal(HttpStatusCode.OK, await other.StatusAsync());
        Assert.Equal(
            HttpStatusCode.NoContent, (await own.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { current = Accounts.Password, password = NewPassword })).Status);
        Assert.Equal(HttpStatusCode.OK, await own.StatusAsync());
        Assert.Equal(HttpStatusCode.Unauthorized, await other.StatusAsync());
        using var again = await Service.SignInAsync(name, NewPassword);
        using var late = Service.Browser();
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await late.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name, password = Accounts.Password })).Status);
    }

    [Fact]
    public async Task An_open_browser_does_not_tell_the_password_to_who_tries_them_all()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        using var browser = await Service.SignInAsync(name);
        var answers = await Task.WhenAll(
            Enumerable.Range(0, GuessLimits.SignIns + 4)
                .Select(_ => browser.SendAsync(
                    HttpMethod.Put, "/api/v1/session/password", new { current = "wrong", password = NewPassword })));
        Assert.Contains(answers, answer => answer.Status == HttpStatusCode.TooManyRequests && answer.Headers.RetryAfter is not null);
        using var elsewhere = await Service.SignInAsync(name);
    }

    [Fact]
    public void Who_leaves_a_link_deletes_old_links_and_nothing_else()
    {
        // Root does this in a folder of the service's account.
        string folder = Directory.CreateTempSubdirectory("webvm-links-").FullName;
        try
        {
            string others = Directory.CreateDirectory(Path.Combine(folder, "others")).FullName;
            string old = Path.Combine(others, new string('a', 64));
            string kept = Path.Combine(others, "kept");
            foreach (string file in (string[])[old, kept])
            {
                File.WriteAllText(file, "");
                File.SetLastWriteTimeUtc(file, DateTime.UtcNow - (2 * SignInLinks.Lifetime));
            }

            string link = Path.Combine(folder, "link");
            File.CreateSymbolicLink(link, others);
            Assert.Throws<IOException>(() => SignInLinks.Leave(link));
            Assert.True(File.Exists(old));
            SignInLinks.Leave(others);
            Assert.False(File.Exists(old));
            Assert.True(File.Exists(kept));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_token_gets_no_more_tries_at_the_password_by_making_tokens()
    {
        var (name, _) = await Service.AddUserAsync("viewer");
        using var browser = await Service.SignInAsync(name);
        var (keeper, _) = await Service.WithTokenAsync(browser, new[] { Scopes.Account });
        List<HttpStatusCode> answers = [];
        for (int attempt = 0; attempt < GuessLimits.SignIns + 4; attempt++)
        {
            var (child, _) = await Service.WithTokenAsync(keeper);
            answers.Add(
                (await child.SendAsync(
                    HttpMethod.Put, "/api/v1/session/password", new { current = "wrong", password = NewPassword })).Status);
        }

        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        // The owner's browser has tries of its own.
        Assert.Equal(
            HttpStatusCode.NoContent, (await browser.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { current = Accounts.Password, password = NewPassword })).Status);
    }

    [Fact]
    public async Task A_new_sign_in_ends_the_session_that_the_browser_had_and_they_are_bounded()
    {
        var (name, path) = await Service.AddUserAsync("viewer");
        var cookies = new CookieContainer();
        using var browser = await Service.SignInAsync(name, cookies: cookies);
        using var copy = Copy(cookies);
        Assert.Equal(
            HttpStatusCode.OK, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name, password = Accounts.Password })).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, await copy.StatusAsync());
        // As if used since then.
        var user = Guid.Parse(path[^36..]);
        await using var database = Databases.Of(Service).CreateDbContext();
        await database.Database.ExecuteSqlAsync(
            $"INSERT INTO sessions (id, user_id, by_link, created_at, last_used_at, expires_at) SELECT gen_random_uuid(), {user}, false, now(), now(), now() + interval '1 day' FROM generate_series(1, {CookieSession.MostOfOneUser})",
            Rest.Cancellation);
        using var more = await Service.SignInAsync(name);
        Assert.Equal(HttpStatusCode.Unauthorized, await browser.StatusAsync());
        Assert.Equal(
            CookieSession.MostOfOneUser, (await more.SendAsync(HttpMethod.Get, "/api/v1/sessions")).Body!["items"]!.AsArray().Count);
    }

    [Fact]
    public async Task A_lost_password_is_mended_on_the_host_by_a_link_that_works_once()
    {
        await using var service = await ServiceProcess.StartAsync();
        var (_, users, _) = await service.Client.SendAsync(HttpMethod.Get, "/api/v1/users");
        string admin = $"/api/v1/users/{users!["items"]![0]!["id"]}";
        Assert.Equal(
            HttpStatusCode.OK, (await service.Client.SendAsync(
                HttpMethod.Patch, admin, new { password = "nobody remembers this" })).Status);
        string[] links = [await LinkAsync(service.Data), await LinkAsync(service.Data), await LinkAsync(service.Data)];
        Assert.Equal(3, Directory.GetFiles(Path.Combine(service.Data, "sign-in-links")).Length);
        // Links do not depend on the service that runs at the moment, and not on one that does.
        await service.StopAsync();
        await service.StartAgainAsync();
        using var browser = service.Browser();
        Assert.Equal("/", (await browser.SendAsync(HttpMethod.Get, links[0])).Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.OK, await browser.StatusAsync("/api/v1/users"));
        using var second = service.Browser();
        Assert.Equal("/sign-in?reason=link", (await second.SendAsync(HttpMethod.Get, links[0])).Headers.Location?.ToString());
        // Of several who come with one at once, one gets in.
        var tries = await Task.WhenAll(
            Enumerable.Range(0, 6)
                .Select(async _ => (await service.Browser().SendAsync(HttpMethod.Get, links[1])).Headers.Location?.ToString()));
        Assert.Single(tries, "/");
        // Over after an hour.
        File.SetLastWriteTimeUtc(
            Directory.GetFiles(Path.Combine(service.Data, "sign-in-links")).Single(), DateTime.UtcNow - SignInLinks.Lifetime);
        Assert.Equal("/sign-in?reason=link", (await second.SendAsync(HttpMethod.Get, links[2])).Headers.Location?.ToString());
        Assert.Equal(
            HttpStatusCode.NoContent, (await browser.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { password = NewPassword })).Status);
        using var signedIn = await service.SignInAsync("admin", NewPassword);

        // Once: the next password needs this one, and what is given is right even where it need not be.
        Assert.Equal(
            HttpStatusCode.UnprocessableEntity, (await browser.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { password = NewPassword + "2" })).Status);
        using var third = service.Browser();
        await third.SendAsync(HttpMethod.Get, await LinkAsync(service.Data));
        Assert.Equal(
            HttpStatusCode.UnprocessableEntity, (await third.SendAsync(
                HttpMethod.Put, "/api/v1/session/password", new { current = "not it", password = NewPassword + "2" })).Status);

        // While the administrator has a password, no link stands in the log of a start.
        Assert.DoesNotContain("/sign-in/link", service.Output, StringComparison.Ordinal);
        Assert.Contains("Sign in with your password", service.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_for_no_service_is_refused_in_a_sentence()
    {
        string nowhere = Path.Combine(Path.GetTempPath(), Rest.NewName("nowhere"));
        var (exitCode, said) = await VerbAsync(nowhere);
        Assert.Equal(4, exitCode);
        Assert.Contains(nowhere, said, StringComparison.Ordinal);
        Assert.Contains("WEBVM_DATA", said, StringComparison.Ordinal);
    }

    private HttpClient Copy(CookieContainer cookies)
    {
        var copy = new CookieContainer();
        copy.Add(cookies.GetCookies(Service.Address));
        return Service.Browser(copy);
    }

    private static async Task<string> LinkAsync(string data)
    {
        var (exitCode, said) = await VerbAsync(data);
        Assert.True(exitCode == 0, said);
        return Link().Match(said).Value;
    }

    private static async Task<(int ExitCode, string Said)> VerbAsync(string data)
    {
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "webvm"),
            "--sign-in-link") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = data;
        using var process = Process.Start(start)!;
        string said = await process.StandardOutput.ReadToEndAsync(Rest.Cancellation)
            + await process.StandardError.ReadToEndAsync(Rest.Cancellation);
        await process.WaitForExitAsync(Rest.Cancellation);
        return (process.ExitCode, said);
    }

    [GeneratedRegex(@"/sign-in/link\?code=\S+")]
    private static partial Regex Link();
}
