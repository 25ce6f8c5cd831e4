using System.Net;
using System.Net.Sockets;
using Xunit;

namespace WebVm.Api.Tests.Identity;

public sealed class GuessingTests : IAsyncLifetime
{
    private ServiceProcess _service = null!;

    public async ValueTask InitializeAsync() => _service = await ServiceProcess.StartAsync();

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task Guesses_cost_the_address_that_guesses_and_not_the_owner_of_the_account()
    {
        var (name, _) = await _service.AddUserAsync("viewer");
        var cookies = new CookieContainer();
        using var owner = await _service.SignInAsync(name, cookies: cookies);
        Assert.Equal(HttpStatusCode.NoContent, (await owner.SendAsync(HttpMethod.Delete, "/api/v1/session")).Status);
        // All at once: a slow host must not make them rare. From the owner's own address, as behind one router.
        var answers = await Task.WhenAll(Enumerable.Range(0, 14).Select(_ => SignInAsync("127.0.0.1", name)));
        Assert.Contains(HttpStatusCode.Unauthorized, answers);
        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        // And from everywhere else.
        answers = await Task.WhenAll(Enumerable.Range(1, 60).Select(i => SignInAsync($"127.0.1.{i}", name)));
        Assert.DoesNotContain(HttpStatusCode.OK, answers);
        // The browser that is known signs in all the same, and a new one from an address that did not guess.
        Assert.Equal(
            HttpStatusCode.OK, (await owner.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name, password = Accounts.Password })).Status);
        Assert.Equal(HttpStatusCode.OK, await SignInAsync("127.0.2.1", name, Accounts.Password));
    }

    [Fact]
    public async Task A_browser_is_known_for_its_own_user_alone_and_has_no_more_tries_than_an_address()
    {
        var (name, _) = await _service.AddUserAsync("viewer");
        var cookies = new CookieContainer();
        using var browser = await _service.SignInAsync(name, cookies: cookies);
        var own = await Task.WhenAll(
            Enumerable.Range(0, 14)
                .Select(async _ => (await browser.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password = "wrong" })).Status));
        Assert.Contains(HttpStatusCode.TooManyRequests, own);
        // Its address has all its tries yet, for others.
        Assert.Equal(
            HttpStatusCode.Unauthorized, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "admin", password = "wrong" })).Status);
    }

    [Fact]
    public async Task Right_passwords_are_not_counted()
    {
        var (name, _) = await _service.AddUserAsync("viewer");
        for (int i = 0; i < 2 * WebVm.Api.Identity.GuessLimits.SignIns; i++)
        {
            Assert.Equal(HttpStatusCode.OK, await SignInAsync("127.0.5.1", name, Accounts.Password));
        }
    }

    [Fact]
    public async Task Wrong_tokens_are_limited_and_right_ones_are_not()
    {
        using var guesser = From("127.0.3.1");
        HttpStatusCode status = default;
        for (int i = 0; i < 600 && status != HttpStatusCode.TooManyRequests; i++)
        {
            (status, _, var headers) = await guesser.SendAsync(
                HttpMethod.Get, "/api/v1/session", headers: ("Authorization", $"Bearer wvm_guess{i}"));
            Assert.Equal(status == HttpStatusCode.TooManyRequests, headers.RetryAfter is not null);
        }

        Assert.Equal(HttpStatusCode.TooManyRequests, status);
        Assert.Equal(
            HttpStatusCode.OK, (await guesser.SendAsync(
                HttpMethod.Get, "/api/v1/session", headers: ("Authorization", "Bearer " + ServiceProcess.AdminToken))).Status);
    }

    [Fact]
    public async Task A_strangers_requests_leave_nothing_in_the_audit()
    {
        using var stranger = From("127.0.4.1");
        await stranger.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = "x" });
        var (_, audit, _) = await _service.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=1000");
        Assert.DoesNotContain(audit!["items"]!.AsArray(), record => (string?)record!["address"] == "127.0.4.1");
        Assert.Equal(HttpStatusCode.Unauthorized, await SignInAsync("127.0.4.1", "nobody"));
        (_, audit, _) = await _service.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=1000");
        Assert.Contains(audit!["items"]!.AsArray(), record => (string?)record!["address"] == "127.0.4.1" && (int)record["status"]! == 401);
    }

    private async Task<HttpStatusCode> SignInAsync(string address, string name, string password = "wrong")
    {
        using var client = From(address);
        var (status, problem, headers) = await client.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password });
        if (status == HttpStatusCode.TooManyRequests)
        {
            Assert.NotNull(headers.RetryAfter);
            Assert.NotNull(problem!["title"]);
        }

        return status;
    }

    /// <summary>A client with an address of its own; Linux has all of 127.0.0.0/8.</summary>
    private HttpClient From(string address) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (context, cancellation) =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
            await socket.ConnectAsync(context.DnsEndPoint, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    {
        BaseAddress = _service.Address,
    };
}
