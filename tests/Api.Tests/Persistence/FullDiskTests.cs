using System.Net;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Persistence;

/// <summary>Images, runs and VM folders lie on a disk that fills up; the database has another.</summary>
public sealed class FullDiskTests : IAsyncLifetime
{
    private readonly string _data = Directory.CreateTempSubdirectory("webvm-full-").FullName;
    private SmallDisk _disk = null!;
    private ServiceProcess _service = null!;

    public async ValueTask InitializeAsync()
    {
        _disk = SmallDisk.Mount(64);
        foreach (string folder in new[] { "images", "run", "vms" })
        {
            string there = Path.Combine(_disk.Path, folder);
            Directory.CreateDirectory(there);
            File.CreateSymbolicLink(Path.Combine(_data, folder), there);
        }

        _service = await ServiceProcess.StartAsync(_data, new() { ["WEBVM_IMPORT_FROM_PRIVATE_NETWORKS"] = "true" });
    }

    public async ValueTask DisposeAsync()
    {
        if (_service is not null)
        {
            await _service.DisposeAsync();
        }

        _disk?.Dispose();
        Directory.Delete(_data, recursive: true);
    }

    [Fact]
    public async Task How_a_monitor_ended_is_known_though_the_disk_is_full()
    {
        string path = await CreateAsync(restart: "never");
        await PowerAsync(path, "on");
        _disk.Fill(leave: 0);
        int monitor = ServiceProcess.MonitorOf(Directory.GetDirectories(Path.Combine(_disk.Path, "run")).Single());
        using (var process = System.Diagnostics.Process.GetProcessById(monitor))
        {
            process.Kill();
        }

        await RunningMachine.EventuallyAsync(_service, async () =>
            (string?)(await _service.Client.SendAsync(
                HttpMethod.Get, path + "/power")).Body!["reason"] == "The monitor was killed by signal 9.");
        _disk.Empty();
    }

    [Fact]
    public async Task An_upload_that_does_not_fit_is_refused_and_goes_on_once_there_is_space()
    {
        byte[] content = RandomNumberGenerator.GetBytes(4 << 20);
        string sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        var (_, image, _) = await _service.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name = "big", kind = "disk", bytes = content.Length, sha256 });
        string path = $"/api/v1/images/{image!["id"]}/content";
        _disk.Fill(leave: 1 << 20);
        using (var refused = await UploadAsync(path, 0, content))
        {
            Assert.Equal(HttpStatusCode.InsufficientStorage, refused.StatusCode);
            Assert.Contains("no space left", await refused.Content.ReadAsStringAsync(Rest.Cancellation), StringComparison.Ordinal);
        }

        _disk.Empty();
        using var head = await _service.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path), Rest.Cancellation);
        int offset = int.Parse(head.Headers.GetValues("Upload-Offset").Single(), null);
        using var accepted = await UploadAsync(path + "?wait=30", offset, content[offset..]);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        Assert.Equal("ready", (string)(await _service.Client.SendAsync(HttpMethod.Get, $"/api/v1/images/{image["id"]}")).Body!["state"]!);
    }

    [Fact]
    public async Task An_import_that_does_not_fit_fails_and_leaves_nothing()
    {
        _disk.Fill(leave: 4096);
        var url = new Uri(_service.Address, "/openapi/v1.json");
        var (_, operation, _) = await _service.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images?wait=60", new { name = "far", kind = "iso", url });
        Assert.Equal("failed", (string)operation!["state"]!);
        Assert.Contains("no space left", (string)operation["error"]!, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(Path.Combine(_disk.Path, "images"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_state_that_does_not_fit_is_not_kept_and_the_machine_goes_on()
    {
        string path = await CreateAsync();
        await PowerAsync(path, "on");
        _disk.Fill(0);
        var (_, snapshot, _) = await _service.Client.SendAsync(HttpMethod.Post, path + "/snapshots?wait=90", new { name = "full" });
        Assert.Equal("failed", (string)snapshot!["state"]!);
        Assert.Contains("space", (string)snapshot["error"]!, StringComparison.OrdinalIgnoreCase);
        Assert.Empty((await _service.Client.SendAsync(HttpMethod.Get, path + "/snapshots")).Body!["items"]!.AsArray());
        Assert.Equal("failed", (string)(await PowerAsync(path, "save"))["state"]!);
        Assert.Equal("running", await StateAsync(path));
        Assert.Empty(Directory.GetDirectories(_disk.Path, "state-*", SearchOption.AllDirectories));
        _disk.Empty();
        var (_, second, _) = await _service.Client.SendAsync(HttpMethod.Post, path + "/snapshots?wait=90", new { name = "fits" });
        Assert.Equal("succeeded", (string)second!["state"]!);
        await PowerAsync(path, "off");
    }

    [Fact]
    public async Task A_machine_that_finds_no_space_for_its_files_says_so()
    {
        string path = await CreateAsync(restart: "never");
        _disk.Fill(0);
        Assert.Equal("failed", (string)(await PowerAsync(path, "on"))["state"]!);
        Assert.Contains(
            "no space left", (string)(await _service.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!["reason"]!,
            StringComparison.Ordinal);
        _disk.Empty();
        Assert.Equal("succeeded", (string)(await PowerAsync(path, "on"))["state"]!);
        await PowerAsync(path, "off");
    }

    private async Task<HttpResponseMessage> UploadAsync(string path, int offset, byte[] content)
    {
        using var request = new HttpRequestMessage(HttpMethod.Patch, path) { Content = new ByteArrayContent(content) };
        request.Headers.Add("Upload-Offset", offset.ToString(null, null));
        return await _service.Client.SendAsync(request, Rest.Cancellation);
    }

    private async Task<string> CreateAsync(string restart = "onFailure")
    {
        var vm = await _service.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(_service.Client), Rest.NewName(), restart));
        return $"/api/v1/vms/{vm["id"]}";
    }

    private async Task<JsonNode> PowerAsync(string path, string action) =>
        (await _service.Client.SendAsync(HttpMethod.Put, path + "/power?wait=90", new { action })).Body!;

    private async Task<string> StateAsync(string path) =>
        (string)(await _service.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!["state"]!;
}
