using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace WebVm.Api.Tests.Images;

public sealed class ImageTests(SharedService shared)
{
    [Fact]
    public async Task An_upload_that_breaks_off_is_resumed()
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
    public async Task An_image_with_the_wrong_checksum_is_not_usable()
    {
        string id = await AnnounceAsync(10, new string('0', 64));
        await SendAsync(id, 0, new byte[10]);
        var (_, image, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}");
        Assert.Equal("failed", (string)image!["state"]!);
        Assert.Contains("checksum", (string)image["error"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_bytes_than_announced_are_refused()
    {
        string id = await AnnounceAsync(10, null);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await SendAsync(id, 0, new byte[11]));
    }

    [Fact]
    public async Task An_image_in_use_is_not_deleted()
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
    public async Task Users_are_counted_and_the_first_of_them_named()
    {
        string kernel = await IdleGuest.UploadAsync(shared.Client);
        var images = (await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/images")).Body!["items"]!.AsArray();
        string path = $"/api/v1/images/{images.Single(image => (string)image!["name"]! == kernel)!["id"]}";
        Assert.Equal(0, (int)(await shared.Client.SendAsync(HttpMethod.Get, path)).Body!["usedByCount"]!);
        var vms = new List<string>();
        for (int i = 0; i < 22; i++)
        {
            vms.Add((string)(await shared.Client.CreateVmAsync(new { name = $"{kernel}-{i:d2}", boot = new { kernel } }))["id"]!);
        }

        foreach (var image in new[] { (await shared.Client.SendAsync(HttpMethod.Get, path)).Body!,
            (await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/images")).Body!["items"]!.AsArray()
                .Single(image => (string)image!["name"]! == kernel)! })
        {
            Assert.Equal(22, (int)image["usedByCount"]!);
            Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{kernel}-{i:d2}"), image["usedBy"]!.AsArray().Select(name => (string)name!));
        }

        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Delete, path);
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.EndsWith($"{kernel}-04 and 17 more.", (string)problem!["detail"]!, StringComparison.Ordinal);
        foreach (string vm in vms)
        {
            await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm}?wait=60");
        }

        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, path)).Status);
    }

    [Fact]
    public async Task Built_in_images_stay()
    {
        var (_, list, _) = await shared.Client.SendAsync(HttpMethod.Get, "/api/v1/images");
        var tiny = list!["items"]!.AsArray().Single(image => (string)image!["name"]! == "tiny");
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/images/{tiny!["id"]}")).Status);
    }

    [Fact]
    public async Task An_import_that_fails_says_why()
    {
        // Port 1 of the loopback interface: nobody listens there.
        var (status, operation, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images?wait=30", new { name = Rest.NewName(), kind = "iso", url = "http://127.0.0.1:1/x.iso" });
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("failed", (string)operation!["state"]!);
        Assert.NotEmpty((string)operation["error"]!);
    }

    [Fact]
    public async Task An_import_fetches_and_checks()
    {
        var (status, operation, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images?wait=30",
            new { name = Rest.NewName(), kind = "iso", url = new Uri(shared.Service.Address, "/health/live").ToString() });
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("succeeded", (string)operation!["state"]!);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("Healthy"u8)), (string)operation["result"]!["sha256"]!);
    }

    [Fact]
    public async Task Two_that_send_an_image_at_once_are_told_apart()
    {
        string id = await AnnounceAsync(200_000, null);
        var body = new Pipe(new PipeOptions(pauseWriterThreshold: 0));
        using var first = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{id}/content?wait=30") { Content = new StreamContent(body.Reader.AsStream()) };
        first.Headers.Add("Upload-Offset", "0");
        await body.Writer.WriteAsync(new byte[100_000], Rest.Cancellation);
        var sending = shared.Client.SendAsync(first, Rest.Cancellation);
        // The last few of them may wait in the client for more.
        await RunningMachine.EventuallyAsync(shared.Service, async () => await OffsetAsync(id) > 50_000);
        using (var second = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{id}/content") { Content = new ByteArrayContent([1]) })
        {
            second.Headers.Add("Upload-Offset", (await OffsetAsync(id)).ToString(null, null));
            using var refused = await shared.Client.SendAsync(second, Rest.Cancellation);
            Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
            Assert.Contains(
                "Another request is sending", await refused.Content.ReadAsStringAsync(Rest.Cancellation), StringComparison.Ordinal);
        }

        await body.Writer.WriteAsync(new byte[100_000], Rest.Cancellation);
        await body.Writer.CompleteAsync();
        using var sent = await sending;
        Assert.Equal(HttpStatusCode.Accepted, sent.StatusCode);
        Assert.Equal("ready", (string)(await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}")).Body!["state"]!);
    }

    [Fact]
    public async Task Images_are_checked_one_after_the_other_with_progress_until_cancelled_and_again_after_a_kill()
    {
        await using var service = await ServiceProcess.StartAsync();
        var client = service.Client;
        // Reading that much takes as long as any test; a sparse file takes no space.
        const long endless = 64L << 30;
        var big = await CompleteAsync(client, service.Data, endless);
        await RunningMachine.EventuallyAsync(service, async () => (int)(await OperationAsync(big.Operation)).Body!["progress"]! > 0);
        var small = new List<(string Image, string Operation)>();
        for (int i = 0; i <= Environment.ProcessorCount / 4; i++)
        {
            small.Add(await CompleteAsync(client, service.Data, i == 0 ? 1000 : endless));
        }

        // Whoever finds no place waits, and can be cancelled there as well.
        await RunningMachine.EventuallyAsync(
            service, async () =>
                (string?)(await OperationAsync(small[^1].Operation)).Body!["message"] == "Waiting for other images to be checked");
        await client.SendAsync(HttpMethod.Post, $"/api/v1/operations/{small[^1].Operation}/cancel");
        Assert.Equal("cancelled", (string)(await OperationAsync(small[^1].Operation, 60)).Body!["state"]!);

        await service.KillAsync();
        await using (var database = Databases.Of(service).CreateDbContext())
        {
            await database.Operations.ExecuteUpdateAsync(set => set.SetProperty(o => o.Progress, 0), Rest.Cancellation);
        }

        await service.StartAgainAsync();
        await RunningMachine.EventuallyAsync(service, async () => (int)(await OperationAsync(big.Operation)).Body!["progress"]! > 0);
        Assert.Equal("verifying", await StateAsync(big.Image));
        await client.SendAsync(HttpMethod.Post, $"/api/v1/operations/{big.Operation}/cancel");
        Assert.Equal("cancelled", (string)(await OperationAsync(big.Operation, 60)).Body!["state"]!);
        Assert.Equal("failed", await StateAsync(big.Image));
        Assert.False(Directory.Exists(Path.Combine(service.Data, "images", Guid.Parse(big.Image).ToString("N"))));

        // The deleted one's check ends with it and gives its place to the next.
        var doomed = await CompleteAsync(client, service.Data, endless);
        Assert.Equal(HttpStatusCode.NoContent, (await client.SendAsync(HttpMethod.Delete, $"/api/v1/images/{doomed.Image}")).Status);
        Assert.Equal("cancelled", (string)(await OperationAsync(doomed.Operation, 60)).Body!["state"]!);
        var last = await CompleteAsync(client, service.Data, 1000);
        Assert.Equal("succeeded", (string)(await OperationAsync(last.Operation, 60)).Body!["state"]!);
        Assert.Equal("ready", await StateAsync(last.Image));

        Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseHeaders Headers)> OperationAsync(string id, int wait = 0) =>
            client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{id}?wait={wait}");

        async Task<string> StateAsync(string id) =>
            (string)(await client.SendAsync(HttpMethod.Get, $"/api/v1/images/{id}")).Body!["state"]!;
    }

    /// <summary>An image of which all bytes but the last have come, and then the last: its check begins.</summary>
    private static async Task<(string Image, string Operation)> CompleteAsync(HttpClient client, string data, long bytes)
    {
        var (status, image, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName("image"), kind = "disk", bytes });
        Assert.Equal(HttpStatusCode.Created, status);
        string id = (string)image!["id"]!;
        await using (var content = File.Create(Path.Combine(data, "images", Guid.Parse(id).ToString("N"), "content")))
        {
            content.SetLength(bytes - 1);
        }

        using var request = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{id}/content") { Content = new ByteArrayContent([1]) };
        request.Headers.Add("Upload-Offset", (bytes - 1).ToString(null, null));
        using var answer = await client.SendAsync(request, Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        return (id, (string)System.Text.Json.Nodes.JsonNode.Parse(await answer.Content.ReadAsStringAsync(Rest.Cancellation))!["id"]!);
    }

    private async Task<string> AnnounceAsync(int bytes, string? sha256)
    {
        var (status, image, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName("image"), kind = "kernel", bytes, sha256 });
        Assert.Equal(HttpStatusCode.Created, status);
        return (string)image!["id"]!;
    }

    private async Task<HttpStatusCode> SendAsync(string id, long offset, byte[] content)
    {
        using var request = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{id}/content?wait=30") { Content = new ByteArrayContent(content) };
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
