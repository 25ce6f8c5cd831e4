using System.Net;
using System.Security.Cryptography;
using Xunit;

namespace WebVm.Api.Tests;

public sealed class ImageTests(SharedService shared)
{
    [Fact]
    public async Task AnUploadThatBreaksOffIsResumed()
    {
        byte[] content = RandomNumberGenerator.GetBytes(300_000);
        string id = await AnnounceAsync(content.Length, Convert.ToHexStringLower(SHA256.HashData(content)));
        Assert.Equal(HttpStatusCode.NoContent, await SendAsync(id, 0, content[..100_000]));
        Assert.Equal(100_000, await OffsetAsync(id));
        Assert.Equal(HttpStatusCode.Conflict, await SendAsync(id, 0, content));
        Assert.Equal(HttpStatusCode.Accepted, await SendAsync(id, 100_000, content[100_000..]));
        var (_, image, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}");
        Assert.Equal("ready", (string)image!["state"]!);
    }

    [Fact]
    public async Task AnImageWithTheWrongChecksumIsNotUsable()
    {
        string id = await AnnounceAsync(10, new string('0', 64));
        await SendAsync(id, 0, new byte[10]);
        var (_, image, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}");
        Assert.Equal("failed", (string)image!["state"]!);
        Assert.Contains("checksum", (string)image["error"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task MoreBytesThanAnnouncedAreRefused()
    {
        string id = await AnnounceAsync(10, null);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await SendAsync(id, 0, new byte[11]));
    }

    [Fact]
    public async Task AnImageInUseIsNotDeleted()
    {
        string id = await AnnounceAsync(4, null);
        await SendAsync(id, 0, [1, 2, 3, 4]);
        var (_, image, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}");
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName(), boot = new { kernel = (string)image!["name"]! } });
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/images/{id}")).Status);
        await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?wait=30");
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/images/{id}")).Status);
    }

    [Fact]
    public async Task BuiltInImagesStay()
    {
        var (_, list, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/images");
        var tiny = list!["items"]!.AsArray().Single(image => (string)image!["name"]! == "tiny");
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/images/{tiny!["id"]}")).Status);
    }

    [Fact]
    public async Task AnImportThatFailsSaysWhy()
    {
        // Port 1 of the loopback interface: nobody listens there.
        var (status, operation, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/images?wait=30", new { name = Rest.NewName(), kind = "iso", url = "http://127.0.0.1:1/x.iso" });
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("failed", (string)operation!["state"]!);
        Assert.NotEmpty((string)operation["error"]!);
    }

    [Fact]
    public async Task AnImportFetchesAndChecks()
    {
        var (status, operation, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/images?wait=30", new { name = Rest.NewName(), kind = "iso", url = new Uri(shared.Service.Address, "/health/live").ToString() });
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("succeeded", (string)operation!["state"]!);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("Healthy"u8)), (string)operation["result"]!["sha256"]!);
    }

    private async Task<string> AnnounceAsync(int bytes, string? sha256)
    {
        var (status, image, _) = await shared.Client.SendAsync(HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName("image"), kind = "kernel", bytes, sha256 });
        Assert.Equal(HttpStatusCode.Created, status);
        return (string)image!["id"]!;
    }

    private async Task<HttpStatusCode> SendAsync(string id, long offset, byte[] content)
    {
        using var request = new HttpRequestMessage(HttpMethod.Patch, $"/api/v1/images/{id}/content?wait=30") { Content = new ByteArrayContent(content) };
        request.Headers.Add("Upload-Offset", offset.ToString(null, null));
        using var answer = await shared.Client.SendAsync(request, Rest.Cancellation);
        return answer.StatusCode;
    }

    private async Task<long> OffsetAsync(string id)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, $"/api/v1/images/{id}/content");
        using var answer = await shared.Client.SendAsync(request, Rest.Cancellation);
        return long.Parse(answer.Headers.GetValues("Upload-Offset").Single(), null);
    }
}
