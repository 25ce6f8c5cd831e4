using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests;

/// <summary>Users, their browsers and their tokens.</summary>
internal static class Accounts
{
    public const string Password = "correct horse battery staple";

    /// <summary>Adds a user.</summary>
    public static async Task<(string Name, string Path)> AddUserAsync(this ServiceProcess service, string role)
    {
        string name = Rest.NewName(role);
        var (status, user, _) = await service.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role, password = Password });
        Assert.Equal(HttpStatusCode.Created, status);
        return (name, $"/api/v1/users/{user!["id"]}");
    }

    /// <summary>A browser that nobody is signed in with.</summary>
    public static HttpClient Browser(this ServiceProcess service, CookieContainer? cookies = null) =>
        new(new HttpClientHandler { CookieContainer = cookies ?? new(), AllowAutoRedirect = false }) { BaseAddress = service.Address };

    /// <summary>A browser that the user is signed in with.</summary>
    public static async Task<HttpClient> SignInAsync(
        this ServiceProcess service, string name, string password = Password, CookieContainer? cookies = null)
    {
        var browser = service.Browser(cookies);
        Assert.Equal(HttpStatusCode.OK, (await browser.SendAsync(HttpMethod.Post, "/api/v1/session", new { name, password })).Status);
        return browser;
    }

    public static HttpClient Bearer(this ServiceProcess service, string token)
    {
        var client = new HttpClient { BaseAddress = service.Address };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    /// <summary>Has the caller make a token, and comes with it.</summary>
    public static async Task<(HttpClient Client, JsonNode Token)> WithTokenAsync(
        this ServiceProcess service, HttpClient maker, object? scopes = null, DateTimeOffset? expiresAt = null)
    {
        var (status, token, _) = await maker.SendAsync(
            HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName("token"), scopes, expiresAt });
        Assert.Equal(HttpStatusCode.Created, status);
        return (service.Bearer((string)token!["token"]!), token);
    }

    /// <summary>What the caller may ask for at all.</summary>
    public static async Task<HttpStatusCode> StatusAsync(this HttpClient client, string path = "/api/v1/session") =>
        (await client.SendAsync(HttpMethod.Get, path)).Status;
}
