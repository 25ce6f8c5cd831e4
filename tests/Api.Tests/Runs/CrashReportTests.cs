using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>
/// A guest that crashes is seen to have: its state, the reason, the last screen and the end of its serial output, also after it was started
/// again.
/// </summary>
public sealed class CrashReportTests(SharedService shared)
{
    [Fact]
    public async Task A_panic_that_the_guest_tells_of_is_a_crash_with_its_reason_screen_and_last_words()
    {
        string path = await StartAsync(IdleImage.Panic(), restart: "never");
        var vm = await AwaitAsync(path, vm => (string)vm["power"]!["state"]! == "crashed");
        Assert.Equal("The guest crashed: its kernel panicked.", (string)vm["power"]!["reason"]!);
        Assert.Equal("The guest crashed: its kernel panicked.", (string)vm["lastCrash"]!["reason"]!);
        Assert.True((bool)vm["lastCrash"]!["screen"]!);
        byte[] png = await shared.Client.GetByteArrayAsync(path + "/last-crash/screen", Rest.Cancellation);
        Assert.Equal((byte[])[0x89, (byte)'P', (byte)'N', (byte)'G'], png[..4]);
        Assert.Equal("R\n", await shared.Client.GetStringAsync(path + "/last-crash/serial", Rest.Cancellation));
        Assert.Equal((2, 2), ((long)vm["lastCrash"]!["serialBytes"]!, (long)vm["lastCrash"]!["serialEnd"]!));

        var (_, trouble, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms?state=crashed&q={vm["name"]}");
        Assert.Single(trouble!["items"]!.AsArray());
    }

    [Fact]
    public async Task A_machine_that_was_started_again_still_tells_of_its_crash_until_somebody_forgets_it()
    {
        string path = await StartAsync(IdleImage.Panic(), restart: "onFailure");
        await AwaitAsync(path, vm => vm["lastCrash"] is not null && (int)vm["power"]!["restartCount"]! > 0);
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" });
        var vm = await AwaitAsync(path, vm => (string)vm["power"]!["state"]! is "off");
        Assert.NotNull(vm["lastCrash"]);
        Assert.Equal(HttpStatusCode.OK, (await shared.Client.SendAsync(HttpMethod.Get, path + "/last-crash/screen")).Status);

        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, path + "/last-crash")).Status);
        Assert.Null((await AwaitAsync(path, _ => true))["lastCrash"]);
        foreach (string part in (string[])["screen", "serial"])
        {
            Assert.Equal(HttpStatusCode.NotFound, (await shared.Client.SendAsync(HttpMethod.Get, $"{path}/last-crash/{part}")).Status);
        }

        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Delete, path + "/last-crash")).Status);
        Assert.Equal(
            HttpStatusCode.NotFound, (await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{Guid.NewGuid()}/last-crash")).Status);
    }

    private async Task<string> StartAsync(byte[] kernel, string restart)
    {
        var vm = await shared.Client.CreateVmAsync(
            IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client, kernel), Rest.NewName(), restart));
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Null(vm["lastCrash"]);
        await shared.Client.EndAsync((await shared.Client.SendAsync(HttpMethod.Put, path + "/power", new { action = "on" })).Body!);
        Assert.Equal(HttpStatusCode.NoContent, (await shared.Client.SendAsync(HttpMethod.Post, path + "/serial", "x")).Status);
        return path;
    }

    private async Task<JsonNode> AwaitAsync(string path, Func<JsonNode, bool> holds)
    {
        for (long start = Stopwatch.GetTimestamp(); ;)
        {
            var (_, vm, _) = await shared.Client.SendAsync(HttpMethod.Get, path);
            if (holds(vm!))
            {
                return vm!;
            }

            Assert.True(Stopwatch.GetElapsedTime(start) < Rest.Patience, vm!.ToJsonString());
            await Task.Delay(50, Rest.Cancellation);
        }
    }
}
