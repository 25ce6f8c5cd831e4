using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>Pages of other origins, which a browser lets use the API only if the service says so (WHATWG Fetch §3.3).</summary>
public sealed class ForeignPageTests
{
    private const string Tools = "https://tools.example";

    [Fact]
    public async Task Only_origins_that_the_setting_names_may_use_the_API_and_only_by_token()
    {
        await using var service = await ServiceProcess.StartAsync(
            settings: new(Guests.Settings()) { ["WEBVM_CORS_ORIGINS"] = $"{Tools}; http://localhost:3000" });
        foreach (string origin in new[] { Tools, "http://localhost:3000" })
        {
            using var preflight = await SendAsync(
                service, HttpMethod.Options, ("Origin", origin), ("Access-Control-Request-Method", "PATCH"),
                ("Access-Control-Request-Headers", "authorization,if-match"));
            Assert.Equal([origin], preflight.Headers.GetValues("Access-Control-Allow-Origin"));
            Assert.False(preflight.Headers.Contains("Access-Control-Allow-Credentials"));
            var (status, _, headers) = await service.Client.SendAsync(
                HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName("foreign") }, ("Origin", origin),
                ("Sec-Fetch-Site", "cross-site"));
            Assert.Equal(HttpStatusCode.Created, status);
            Assert.Contains("ETag", headers.GetValues("Access-Control-Expose-Headers").Single(), StringComparison.Ordinal);
        }

        // Why a page's request was refused its script can read.
        var (refused, _, why) = await service.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", "{}", ("Origin", Tools));
        Assert.Equal((HttpStatusCode.UnprocessableEntity, Tools), (refused, why.GetValues("Access-Control-Allow-Origin").Single()));

        foreach (string origin in new[] { "https://tools.example.evil.example", "http://tools.example", "https://tools.example:444",
            "null" })
        {
            using var preflight = await SendAsync(
                service, HttpMethod.Options, ("Origin", origin), ("Access-Control-Request-Method", "GET"));
            Assert.False(preflight.Headers.Contains("Access-Control-Allow-Origin"));
            Assert.Equal(
                HttpStatusCode.Forbidden, (await service.Client.SendAsync(
                    HttpMethod.Post, "/api/v1/vms", new { name = "x" }, ("Origin", origin))).Status);
        }

        // What a browser would add by itself is not enough.
        using var browser = new HttpClient { BaseAddress = service.Address };
        Assert.Equal(
            HttpStatusCode.Forbidden, (await browser.SendAsync(
                HttpMethod.Post, "/api/v1/session", new { name = "admin", password = "x" }, ("Origin", Tools))).Status);
    }

    private static Task<HttpResponseMessage> SendAsync(
        ServiceProcess service, HttpMethod method, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, "/api/v1/vms");
        foreach (var (name, value) in headers)
        {
            request.Headers.Add(name, value);
        }

        return service.Client.SendAsync(request, Rest.Cancellation);
    }
}
