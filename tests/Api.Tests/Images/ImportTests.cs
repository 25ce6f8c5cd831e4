using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using WebVm.Api.Images;
using Xunit;

namespace WebVm.Api.Tests.Images;

public sealed class ImportTests(SharedService shared)
{
    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.8.8.8")]
    [InlineData("0.0.0.0")]
    [InlineData("10.1.2.3")]
    [InlineData("172.31.255.255")]
    [InlineData("192.168.0.1")]
    [InlineData("169.254.169.254")]
    [InlineData("100.64.0.1")]
    [InlineData("224.0.0.1")]
    [InlineData("255.255.255.255")]
    [InlineData("::1")]
    [InlineData("::")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("::ffff:10.0.0.1")]
    [InlineData("::7f00:1")]
    [InlineData("::ffff:0:7f00:1")]
    [InlineData("::ffff:0:101:101")]
    [InlineData("64:ff9b::7f00:1")]
    [InlineData("64:ff9b:1::7f00:1")]
    [InlineData("2001:0:4136:e378:8000:63bf:80ff:fffe")]
    [InlineData("2001:db8::1")]
    [InlineData("4000::1")]
    [InlineData("2002:7f00:1::")]
    [InlineData("fd00::1")]
    [InlineData("fe80::1")]
    [InlineData("fec0::1")]
    [InlineData("ff02::1")]
    public void An_address_that_only_the_service_reaches_is_not_public(string address) =>
        Assert.False(ImportConnections.IsPublic(IPAddress.Parse(address)));

    [Theory]
    [InlineData("1.1.1.1")]
    [InlineData("172.32.0.1")]
    [InlineData("100.128.0.1")]
    [InlineData("::ffff:1.1.1.1")]
    [InlineData("2606:4700::1111")]
    public void Others_are_public(string address) => Assert.True(ImportConnections.IsPublic(IPAddress.Parse(address)));

    [Fact]
    public async Task By_default_the_service_does_not_fetch_from_its_own_host()
    {
        await using var service = await ServiceProcess.StartAsync();
        foreach (string host in new[] { "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433" })
        {
            var (_, operation, _) = await service.Client.SendAsync(
                HttpMethod.Post, "/api/v1/images?wait=60",
                new { name = Rest.NewName(), kind = "iso", url = $"http://{host}:{service.Address.Port}/health/live" });
            Assert.Equal("failed", (string)operation!["state"]!);
            Assert.Contains("not in the public internet", (string)operation["error"]!, StringComparison.Ordinal);
        }
    }

    /// <summary>The address is shown to whoever may see images, and in the audit.</summary>
    [Theory]
    [InlineData("https://user:secret@example.com/image.iso")]
    [InlineData("https://token@example.com/image.iso")]
    [InlineData("https://user%3asecret@example.com/image.iso")]
    public async Task An_address_with_a_secret_in_it_is_refused_and_not_repeated(string url)
    {
        var (status, problem, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(), kind = "iso", url });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Contains("must not have a name or password in it", problem!.ToJsonString(), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", problem.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_that_only_the_service_knows_are_not_told_from_names_that_nobody_knows()
    {
        using var client = new HttpClient(ImportConnections.CreateHandler(ImportConnections.IsPublic));
        var told = new HashSet<string>();
        foreach (string host in new[] { "localhost", "no-such-host.invalid", "127.0.0.1", "0.0.0.0", "[::]", "[::ffff:0:127.0.0.1]" })
        {
            var refusal = await Assert.ThrowsAsync<HttpRequestException>(
                () => client.GetAsync(new Uri($"http://{host}/"), Rest.Cancellation));
            // The host as it was given stands before and behind it.
            int sentence = refusal.Message.IndexOf(": ", StringComparison.Ordinal);
            told.Add(
                refusal.Message[sentence..(refusal.Message.LastIndexOf('.', refusal.Message.LastIndexOf(" (", StringComparison.Ordinal))
                    + 1)]);
            Assert.IsNotType<System.Net.Sockets.SocketException>(refusal.InnerException);
        }

        Assert.Single(told);
    }

    [Fact]
    public async Task A_redirect_is_checked_like_the_first_address()
    {
        using var server = new OneAnswer(
            port => $"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{port}/secret\r\nContent-Length: 0\r\n\r\n");
        using var client = new HttpClient(ImportConnections.CreateHandler(address => address.ToString() == "127.0.0.1"));
        var refusal = await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(server.Url, Rest.Cancellation));
        Assert.Contains("127.0.0.2", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, server.Requests);
    }

    [Fact]
    public async Task An_import_larger_than_its_limit_is_broken_off_however_long_it_claims_to_be()
    {
        // No length is announced: the bytes are counted as they come.
        using var server = new OneAnswer(_ => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + new string('x', 100_000));
        var (_, operation, _) = await ImportAsync(new { name = Rest.NewName(), kind = "iso", url = server.Url, bytes = 50_000 });
        Assert.Equal("failed", (string)operation!["state"]!);
        Assert.Contains("more than 50000 bytes", (string)operation["error"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_import_with_the_wrong_checksum_is_not_usable()
    {
        using var server = new OneAnswer(_ => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nimage");
        var (_, operation, _) = await ImportAsync(
            new { name = Rest.NewName(), kind = "iso", url = server.Url, sha256 = new string('0', 64) });
        Assert.Equal("failed", (string)operation!["state"]!);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData("image"u8)), (string)operation["error"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_import_that_is_cut_short_is_not_usable()
    {
        using var server = new OneAnswer(_ => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nimage");
        var (_, operation, _) = await ImportAsync(new { name = Rest.NewName(), kind = "iso", url = server.Url });
        Assert.Equal("failed", (string)operation!["state"]!);
    }

    [Fact]
    public async Task An_import_is_taken_up_again_when_the_service_was_stopped_and_given_up_when_it_is_cancelled()
    {
        await using var service = await ServiceProcess.StartAsync(settings: new() { ["WEBVM_IMPORT_FROM_PRIVATE_NETWORKS"] = "true" });
        var hold = new TaskCompletionSource();
        using var server = new OneAnswer(_ => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nimage", hold.Task);
        var (_, kept, _) = await service.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(), kind = "iso", url = server.Url });
        var (_, cancelled, _) = await service.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName(), kind = "iso", url = server.Url });
        await AwaitRequestsAsync(server, 2);
        await service.Client.SendAsync(HttpMethod.Post, $"/api/v1/operations/{cancelled!["id"]}/cancel");
        Assert.Equal(
            "cancelled", (string)(await service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/operations/{cancelled["id"]}?wait=30")).Body!["state"]!);
        await service.StopAsync();
        await service.StartAgainAsync();
        await AwaitRequestsAsync(server, 3);
        hold.SetResult();
        Assert.Equal(
            "succeeded", (string)(await service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/operations/{kept!["id"]}?wait=30")).Body!["state"]!);
        var images = (await service.Client.SendAsync(HttpMethod.Get, "/api/v1/images")).Body!["items"]!.AsArray();
        Assert.Equal(
            ["failed", "ready"], images.Where(image => (string)image!["kind"]! == "iso").Select(image => (string)image!["state"]!).Order());
    }

    private static async Task AwaitRequestsAsync(OneAnswer server, int count)
    {
        for (long start = Stopwatch.GetTimestamp(); server.Requests < count && Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Equal(count, server.Requests);
    }

    private Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseHeaders Headers)> ImportAsync(object request) =>
        shared.Client.SendAsync(HttpMethod.Post, "/api/v1/images?wait=60", request);
}
