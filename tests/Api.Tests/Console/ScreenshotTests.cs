using System.Buffers.Binary;
using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class ScreenshotTests(SharedService shared)
{
    [Fact]
    public async Task A_screenshot_is_scaled_down_to_the_wanted_width_and_never_up()
    {
        string path = await StartAsync();
        Assert.Equal((1024, 768), Size(await shared.Client.GetByteArrayAsync(path, Rest.Cancellation)));
        Assert.Equal((320, 240), Size(await shared.Client.GetByteArrayAsync(path + "?width=320", Rest.Cancellation)));
        Assert.Equal((1024, 768), Size(await shared.Client.GetByteArrayAsync(path + "?width=4096", Rest.Cancellation)));
        foreach (string wrong in new[] { "0", "-1", "15", "4097" })
        {
            var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Get, $"{path}?width={wrong}");
            Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
            Assert.Equal(["?width"], Rest.Pointers(problem));
        }

        await shared.Client.SendAsync(
            HttpMethod.Put, path.Replace("screenshot", "power?wait=60", StringComparison.Ordinal), new { action = "off" });
    }

    [Fact]
    public async Task A_screen_that_has_not_changed_is_not_sent_again()
    {
        string path = await StartAsync() + "?width=320";
        var (_, _, first) = await shared.Client.SendAsync(HttpMethod.Get, path);
        string tag = first.ETag!.Tag;
        Assert.Equal(
            HttpStatusCode.NotModified, (await shared.Client.SendAsync(HttpMethod.Get, path, headers: ("If-None-Match", tag))).Status);
        Assert.Equal(
            HttpStatusCode.OK, (await shared.Client.SendAsync(HttpMethod.Get, path, headers: ("If-None-Match", "\"other\""))).Status);
        await shared.Client.SendAsync(
            HttpMethod.Put, path.Replace("screenshot?width=320", "power?wait=60", StringComparison.Ordinal), new { action = "off" });
    }

    // ISO/IEC 15948 §11.2.2: width and height are the first words of IHDR, behind signature, length and type.
    private static (int Width, int Height) Size(byte[] png) =>
        (BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20)));

    private async Task<string> StartAsync()
    {
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), Rest.NewName()));
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        return $"/api/v1/vms/{vm["id"]}/screenshot";
    }
}
