using System.Net;
using System.Net.Sockets;
using Xunit;

namespace WebVm.Api.Tests;

public sealed class GuessingTests : IAsyncLifetime
{
    private ServiceProcess _service = null!;

    public async ValueTask InitializeAsync() => _service = await ServiceProcess.StartAsync();

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task TriesToSignInAreLimitedByAddressAndByAccount()
    {
        // All at once: a slow host must not make them rare.
        var answers = await Task.WhenAll(Enumerable.Range(0, 14).Select(_ => SignInAsync("127.0.0.1", Rest.NewName())));
        Assert.Contains(HttpStatusCode.Unauthorized, answers);
        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        // Another address is another caller, but an account is one account.
        answers = await Task.WhenAll(Enumerable.Range(1, 40).Select(i => SignInAsync($"127.0.1.{i}", "admin")));
        Assert.Contains(HttpStatusCode.Unauthorized, answers);
        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        Assert.Equal(HttpStatusCode.Unauthorized, await SignInAsync("127.0.2.1", "somebody-else"));
    }

    [Fact]
    public async Task WrongTokensAreLimitedAndRightOnesAreNot()
    {
        using var guesser = From("127.0.3.1");
        HttpStatusCode status = default;
        for (int i = 0; i < 600 && status != HttpStatusCode.TooManyRequests; i++)
        {
            (status, _, var headers) = await guesser.SendAsync(HttpMethod.Get, "/api/v1/session", headers: ("Authorization", $"Bearer wvm_guess{i}"));
            Assert.Equal(status == HttpStatusCode.TooManyRequests, headers.RetryAfter is not null);
        }

        Assert.Equal(HttpStatusCode.TooManyRequests, status);
        Assert.Equal(HttpStatusCode.OK, (await guesser.SendAsync(HttpMethod.Get, "/api/v1/session", headers: ("Authorization", "Bearer " + ServiceProcess.AdminToken))).Status);
    }

    [Fact]
    public async Task AStrangersRequestsLeaveNothingInTheAudit()
    {
        using var stranger = From("127.0.4.1");
        await stranger.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = "x" });
        var (_, audit, _) = await _service.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=1000");
        Assert.DoesNotContain(audit!["items"]!.AsArray(), record => (string?)record!["address"] == "127.0.4.1");
        Assert.Equal(HttpStatusCode.Unauthorized, await SignInAsync("127.0.4.1", "nobody"));
        (_, audit, _) = await _service.Client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=1000");
        Assert.Contains(audit!["items"]!.AsArray(), record => (string?)record!["address"] == "127.0.4.1" && (int)record["status"]! == 401);
    }

    private async Task<HttpStatusCode> SignInAsync(string address, string name)
    {
        using var client = From(address);
        var (status, problem, headers) = await client.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password = "wrong" });
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
