using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Console;
using WebVm.Api.Identity;
using WebVm.Api.Tests.Console;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>What is open ends with the right by which it was opened; what others opened goes on.</summary>
public sealed class LiveRightsTests(SharedService shared)
{
    private ServiceProcess Service => shared.Service;

    public static TheoryData<Ending> Endings { get; } = [.. Enum.GetValues<Ending>()];

    public enum Ending
    {
        TokenRevoked,
        TokenRevokedByItself,
        MakerRevoked,
        TokenExpired,
        UserDisabled,
        UserDeleted,
        RoleNarrowed,
        RevokedByAnotherService,
        RoleNarrowedByAnotherService,
    }

    [Theory]
    [MemberData(nameof(Endings))]
    public async Task Everything_that_a_token_opened_ends_with_it(Ending ending)
    {
        var (name, path) = await Service.AddUserAsync("operator");
        using var browser = await Service.SignInAsync(name);
        var (maker, made) = await Service.WithTokenAsync(browser);
        string[] scopes = [Scopes.VmsRead, Scopes.ConsoleView, Scopes.ConsoleControl, Scopes.ImagesWrite];
        var (client, token) = await Service.WithTokenAsync(
            maker, scopes, ending == Ending.TokenExpired ? DateTimeOffset.UtcNow.AddSeconds(20) : null);
        var (other, otherToken) = await Service.WithTokenAsync(shared.Client, scopes);
        string vm = (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!;
        await using var open = await OpenAsync(client, (string)token["token"]!, vm);
        await using var others = await OpenAsync(other, (string)otherToken["token"]!, vm);
        await using var database = Databases.Of(Service).CreateDbContext();
        var (id, user) = ((Guid)token["id"]!, Guid.Parse(path[^36..]));
        switch (ending)
        {
            case Ending.TokenRevoked:
                await Done(shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{id}"));
                break;
            case Ending.TokenRevokedByItself:
                await Done(client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{id}"));
                break;
            case Ending.MakerRevoked:
                await Done(browser.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{made["id"]}"));
                break;
            case Ending.UserDisabled:
                await Done(shared.Client.SendAsync(HttpMethod.Patch, path, new { disabled = true }));
                break;
            case Ending.UserDeleted:
                await Done(shared.Client.SendAsync(HttpMethod.Delete, path));
                break;
            case Ending.RoleNarrowed:
                await Done(shared.Client.SendAsync(HttpMethod.Patch, path, new { role = "viewer" }));
                break;
            case Ending.RevokedByAnotherService:
                await database.Tokens.Where(t => t.Id == id).ExecuteDeleteAsync(Rest.Cancellation);
                break;
            case Ending.RoleNarrowedByAnotherService:
                await database.Database.ExecuteSqlAsync($"UPDATE users SET role = 'Viewer' WHERE id = {user}", Rest.Cancellation);
                break;
        }

        await open.EndAsync();
        Assert.False(others.HasLostSome);
    }

    public enum SessionEnding
    {
        SignedOut,
        Ended,
        OthersEnded,
        PasswordChanged,
        UserDisabled,
    }

    [Theory]
    [InlineData(SessionEnding.SignedOut)]
    [InlineData(SessionEnding.Ended)]
    [InlineData(SessionEnding.OthersEnded)]
    [InlineData(SessionEnding.PasswordChanged)]
    [InlineData(SessionEnding.UserDisabled)]
    public async Task Everything_that_a_session_opened_ends_with_it(SessionEnding ending)
    {
        var (name, path) = await Service.AddUserAsync("operator");
        var cookies = new CookieContainer();
        using var browser = await Service.SignInAsync(name, cookies: cookies);
        var otherCookies = new CookieContainer();
        using var other = await Service.SignInAsync(name, cookies: otherCookies);
        string vm = (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!;
        await using var open = await OpenAsync(browser, null, vm, cookies);
        await using var others = await OpenAsync(other, null, vm, otherCookies);
        string own =
            (string)(await browser.SendAsync(HttpMethod.Get, "/api/v1/sessions")).Body!["items"]!.AsArray()
                .Single(session => (bool)session!["current"]!)!["id"]!;
        await Done(ending switch
        {
            SessionEnding.SignedOut => browser.SendAsync(HttpMethod.Delete, "/api/v1/session"),
            SessionEnding.Ended => other.SendAsync(HttpMethod.Delete, $"/api/v1/sessions/{own}"),
            SessionEnding.OthersEnded => other.SendAsync(HttpMethod.Delete, "/api/v1/sessions"),
            SessionEnding.PasswordChanged =>
                other.SendAsync(
                    HttpMethod.Put, "/api/v1/session/password",
                    new { current = Accounts.Password, password = "another horse, another staple" }),
            _ => shared.Client.SendAsync(HttpMethod.Patch, path, new { disabled = true }),
        });
        await open.EndAsync();
        if (ending == SessionEnding.UserDisabled)
        {
            await others.EndAsync();
        }
        else
        {
            Assert.False(others.HasLostSome);
        }
    }

    [Fact]
    public async Task A_ticket_is_over_with_the_right_that_made_it()
    {
        var (client, token) = await Service.WithTokenAsync(shared.Client, new[] { Scopes.ConsoleView });
        string vm = (string)(await shared.Client.CreateVmAsync(new { name = Rest.NewName() }))["id"]!;
        string ticket = (string)(await client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm}/console")).Body!["ticket"]!;
        await using (await HubClient.ConnectAsync(Service.Address, ticket))
        {
            await Done(shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/tokens/{token["id"]}"));
        }

        await Assert.ThrowsAsync<System.Net.WebSockets.WebSocketException>(() => HubClient.ConnectAsync(Service.Address, ticket));
    }

    private static async Task Done(
        Task<(HttpStatusCode Status, JsonNode? Body, System.Net.Http.Headers.HttpResponseHeaders Headers)> request) =>
        Assert.True((await request).Status is HttpStatusCode.OK or HttpStatusCode.NoContent);

    /// <summary>
    /// Opens one of each: events, a followed serial line, a screen, a serial terminal, a screen by a ticket, and an upload.
    /// </summary>
    private async Task<Opened> OpenAsync(HttpClient client, string? token, string vm, CookieContainer? cookies = null)
    {
        var (status, session, _) = await client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm}/console");
        Assert.Equal(HttpStatusCode.OK, status);
        HubClient[] hubs =
        [
            await HubClient.ConnectAsync(Service.Address, token ?? "", cookies: cookies),
            await HubClient.ConnectAsync(Service.Address, token ?? "", cookies: cookies),
            await HubClient.ConnectAsync(Service.Address, (string)session!["ticket"]!),
        ];
        Assert.Null(await hubs[0].InvokeAsync(nameof(ConsoleHub.OpenDisplay), vm, false));
        Assert.Null(await hubs[1].InvokeAsync(nameof(ConsoleHub.OpenSerial), vm, 0L));
        Assert.Null(await hubs[2].InvokeAsync(nameof(ConsoleHub.OpenDisplay), vm, true));
        var (_, image, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(), kind = "iso", bytes = 2 });
        return new Opened(
            hubs,
            [await FollowAsync("/api/v1/events"), await FollowAsync($"/api/v1/vms/{vm}/serial?follow=true")],
            await StalledUpload.BeginAsync(
                Service.Address, $"/api/v1/images/{image!["id"]}/content",
                token is null ? $"Cookie: {cookies!.GetCookieHeader(Service.Address)}" : $"Authorization: Bearer {token}"));

        async Task<HttpResponseMessage> FollowAsync(string path)
        {
            var answer = await client.GetAsync(path, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return answer;
        }
    }

    private sealed class Opened : IAsyncDisposable
    {
        private readonly HubClient[] _hubs;
        private readonly HttpResponseMessage[] _streams;
        private readonly StalledUpload _upload;
        private readonly Task[] _lasting;

        public Opened(HubClient[] hubs, HttpResponseMessage[] streams, StalledUpload upload)
        {
            (_hubs, _streams, _upload) = (hubs, streams, upload);
            _lasting = [.. hubs.Select(hub => hub.Closed), .. streams.Select(DrainAsync)];
        }

        /// <summary>An upload that stalls is broken off by and by, whoever's it is.</summary>
        public bool HasLostSome => _lasting.Any(end => end.IsCompleted);

        public Task EndAsync() => Task.WhenAll([.. _lasting, _upload.Ended]).WaitAsync(TimeSpan.FromMinutes(1), Rest.Cancellation);

        public async ValueTask DisposeAsync()
        {
            Array.ForEach(_streams, stream => stream.Dispose());
            _upload.Dispose();
            foreach (var hub in _hubs)
            {
                await hub.DisposeAsync();
            }
        }

        private static async Task DrainAsync(HttpResponseMessage answer)
        {
            try
            {
                await answer.Content.CopyToAsync(Stream.Null, Rest.Cancellation);
            }
            catch (Exception over) when (over is HttpRequestException or IOException or ObjectDisposedException)
            {
                // Broken off.
            }
        }
    }

    /// <summary>Sends one byte of two, and then waits for the end of the connection.</summary>
    private sealed class StalledUpload : IDisposable
    {
        private readonly TcpClient _connection = new();

        public Task Ended { get; private set; } = Task.CompletedTask;

        public static async Task<StalledUpload> BeginAsync(Uri service, string path, string credentials)
        {
            var upload = new StalledUpload();
            await upload._connection.ConnectAsync(service.Host, service.Port, Rest.Cancellation);
            var stream = upload._connection.GetStream();
            string head =
                $"PATCH {path} HTTP/1.1\r\nHost: {service.Authority}\r\n{credentials}\r\nUpload-Offset: 0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
            await stream.WriteAsync(Encoding.ASCII.GetBytes(head), Rest.Cancellation);
            // It is asked for when the upload is under way.
            byte[] answer = new byte[256];
            int count = await stream.ReadAsync(answer, Rest.Cancellation);
            Assert.StartsWith("HTTP/1.1 100", Encoding.ASCII.GetString(answer, 0, count), StringComparison.Ordinal);
            await stream.WriteAsync("x"u8.ToArray(), Rest.Cancellation);
            upload.Ended = AwaitEndAsync();
            return upload;

            async Task AwaitEndAsync()
            {
                try
                {
                    while (await stream.ReadAsync(answer) > 0)
                    {
                    }
                }
                catch (Exception over) when (over is IOException or ObjectDisposedException)
                {
                    // Broken off.
                }
            }
        }

        public void Dispose() => _connection.Dispose();
    }
}
