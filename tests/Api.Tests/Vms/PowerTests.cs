using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Vms;

public sealed class PowerTests(SharedService shared)
{
    [Fact]
    public async Task A_VM_is_started_paused_resumed_saved_continued_and_stopped()
    {
        string path = await CreateAsync();
        Assert.Equal("running", await PowerAsync(path, "on"));
        Assert.Equal("paused", await PowerAsync(path, "pause"));
        Assert.Equal("running", await PowerAsync(path, "resume"));
        Assert.Equal("saved", await PowerAsync(path, "save"));
        Assert.Equal("running", await PowerAsync(path, "on"));
        Assert.Equal("off", await PowerAsync(path, "off"));
    }

    /// <summary>Its files are as large as the memory that it had: what the monitor may write is reckoned by that.</summary>
    [Fact]
    public async Task A_state_is_gone_on_from_and_saved_again_although_its_machine_has_less_memory_by_now()
    {
        var vm = await shared.Client.CreateVmAsync(
            new { name = Rest.NewName(
                "shrunk"), memory = 192L << 20, engine = "soft", boot = new { kernel = await IdleGuest.UploadAsync(shared.Client) } });
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Equal("running", await PowerAsync(path, "on"));
        Assert.Equal("saved", await PowerAsync(path, "save"));
        Assert.Equal(HttpStatusCode.OK, (await shared.Client.SendAsync(HttpMethod.Patch, path, new { memory = 96L << 20 })).Status);
        Assert.Equal("running", await PowerAsync(path, "on"));
        Assert.Equal("saved", await PowerAsync(path, "save"));
        Assert.Equal("running", await PowerAsync(path, "on"));
        Assert.Equal("off", await PowerAsync(path, "off"));
    }

    [Fact]
    public async Task What_the_guest_prints_is_kept_over_runs()
    {
        string path = await CreateAsync();
        await PowerAsync(path, "on");
        await AwaitSerialAsync(path, "R\n");
        await PowerAsync(path, "off");
        await PowerAsync(path, "on");
        await AwaitSerialAsync(path, "R\nR\n");
        await PowerAsync(path, "off");
    }

    [Fact]
    public async Task Two_starts_at_once_make_one_monitor()
    {
        string path = await CreateAsync();
        await Task.WhenAll(
            Enumerable.Range(0, 6).Select(_ => shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" })));
        Assert.Single(await RunsAsync(path));
        await PowerAsync(path, "off");
    }

    [Fact]
    public async Task Of_requests_at_once_the_last_one_counts_and_each_one_ends()
    {
        string path = await CreateAsync();
        string[] actions = ["on", "off", "on", "off", "on", "off"];
        var ended = await Task.WhenAll(actions.Select(async action =>
            await shared.Client.EndAsync((await shared.Client.SendAsync(HttpMethod.Put, path + "/power", new { action })).Body!)));
        Assert.All(ended, operation => Assert.Contains((string)operation["state"]!, (string[])["succeeded", "failed"]));
        Assert.Contains(ended, operation => (string)operation["state"]! == "succeeded");
        string desired = (string)(await shared.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!["desired"]!;
        await AwaitPowerAsync(path, power => (string)power["state"]! == (desired == "on" ? "running" : "off"));
        await PowerAsync(path, "off");
    }

    /// <summary>
    /// TERM is what a host that shuts down sends to all that still runs: the machine starts again with the host, as its guest did not power
    /// off.
    /// </summary>
    [Theory]
    [InlineData("-KILL")]
    [InlineData("-TERM")]
    public async Task A_killed_monitor_is_restarted_and_the_reason_kept(string signal)
    {
        string path = await CreateAsync();
        await PowerAsync(path, "on");
        int monitor = ServiceProcess.MonitorOf(Assert.Single(await RunsAsync(path)));
        using (var kill = Process.Start("kill", [signal, monitor.ToString(null, null)]))
        {
            await kill.WaitForExitAsync(Rest.Cancellation);
        }

        var power = await AwaitPowerAsync(path, power => (int)power["restartCount"]! == 1 && (string)power["state"]! == "running");
        Assert.NotNull(power);
        var (_, events, _) = await shared.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms/{Id(path)}/power");
        Assert.Equal("on", (string)events!["desired"]!);
        await PowerAsync(path, "off");
    }

    [Fact]
    public async Task A_monitor_that_cannot_be_built_fails_once_and_says_why()
    {
        byte[] rubbish = new byte[4096];
        string name = Rest.NewName("rubbish");
        var (_, image, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name, kind = "kernel", bytes = rubbish.Length });
        using var request = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{image!["id"]}/content?wait=30") { Content = new ByteArrayContent(rubbish) };
        request.Headers.Add("Upload-Offset", "0");
        using var upload = await shared.Client.SendAsync(request, Rest.Cancellation);
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(name, Rest.NewName()));
        string path = $"/api/v1/vms/{vm["id"]}";
        var (_, operation, _) = await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" });
        var power = await AwaitPowerAsync(path, power => (string)power["state"]! == "failed");
        Assert.Equal("off", (string)power["desired"]!);
        Assert.NotEmpty((string)power["reason"]!);
        Assert.NotEqual("running", (string)operation!["state"]!);
    }

    [Fact]
    public async Task A_snapshot_takes_a_VM_back()
    {
        string path = await CreateAsync();
        await PowerAsync(path, "on");
        await AwaitSerialAsync(path, "R\n");
        var (_, taken, _) = await shared.Client.SendAsync(HttpMethod.Post, path + "/snapshots?wait=60", new { name = "first" });
        Assert.Equal("succeeded", (string)taken!["state"]!);
        Assert.Null(taken["message"]);
        await PowerAsync(path, "off");
        var (_, restored, _) = await shared.Client.SendAsync(HttpMethod.Post, $"{path}/snapshots/{taken["result"]!["id"]}/restore?wait=60");
        Assert.Equal("succeeded", (string)restored!["state"]!);
        Assert.Equal("running", (string)(await shared.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!["state"]!);
        // A restored guest goes on halting; one that was started anew would have printed again.
        Assert.Equal("R\n", await shared.Client.GetStringAsync(path + "/serial", Rest.Cancellation));
        await PowerAsync(path, "off");
    }

    [Fact]
    public async Task Settings_that_need_a_restart_are_reported_as_pending()
    {
        string path = await CreateAsync();
        await PowerAsync(path, "on");
        var (_, vm, _) = await shared.Client.SendAsync(HttpMethod.Patch, path, new { cpus = 2, description = "later" });
        Assert.Equal(["/cpus"], vm!["pendingChanges"]!.AsArray().Select(pointer => (string)pointer!));
        await PowerAsync(path, "off");
        Assert.Empty((await shared.Client.SendAsync(HttpMethod.Get, path)).Body!["pendingChanges"]!.AsArray());
    }

    [Theory]
    [InlineData("resume")]
    [InlineData("reset")]
    [InlineData("shutdown")]
    public async Task What_makes_no_sense_for_a_stopped_VM_is_refused(string action)
    {
        string path = await CreateAsync();
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Put, path + "/power", new { action })).Status);
    }

    [Fact]
    public async Task Screens_and_keys_of_a_stopped_VM_are_refused()
    {
        string path = await CreateAsync();
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Get, path + "/screenshot")).Status);
        Assert.Equal(HttpStatusCode.Conflict, (await shared.Client.SendAsync(HttpMethod.Post, path + "/text", new { text = "x" })).Status);
        var (status, problem, _) = await shared.Client.SendAsync(HttpMethod.Post, path + "/keys", new { keys = new[] { "enter", "warp" } });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
        Assert.Equal(["/keys/1"], Rest.Pointers(problem));
    }

    private static string Id(string path) => path[(path.LastIndexOf('/') + 1)..];

    private async Task<string> CreateAsync()
    {
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), Rest.NewName()));
        return $"/api/v1/vms/{vm["id"]}";
    }

    private async Task<string> PowerAsync(string path, string action)
    {
        var (status, operation, _) = await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=90", new { action });
        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.True((string)operation!["state"]! == "succeeded", operation.ToJsonString());
        return (string)operation["result"]!["state"]!;
    }

    private async Task AwaitSerialAsync(string path, string expected)
    {
        string seen = "";
        for (long start = Stopwatch.GetTimestamp(); seen != expected && Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            await Task.Delay(100, Rest.Cancellation);
            seen = await shared.Client.GetStringAsync(path + "/serial", Rest.Cancellation);
        }

        Assert.Equal(expected, seen);
    }

    private async Task<JsonNode> AwaitPowerAsync(string path, Func<JsonNode, bool> reached)
    {
        JsonNode? power = null;
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            power = (await shared.Client.SendAsync(HttpMethod.Get, path + "/power")).Body!;
            if (reached(power))
            {
                return power;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        Assert.Fail($"The VM stayed {power!.ToJsonString()}.");
        return power;
    }

    /// <summary>The folders of the VM's runs.</summary>
    private async Task<string[]> RunsAsync(string path)
    {
        string name = (string)(await shared.Client.SendAsync(HttpMethod.Get, path)).Body!["name"]!;
        return [.. Directory.GetDirectories(Path.Combine(shared.Service.Data, "run"))
            .Where(run => Specification(run).Contains($"\"{name}\"", StringComparison.Ordinal))];

        static string Specification(string run)
        {
            try
            {
                return File.ReadAllText(Path.Combine(run, "machine.json"));
            }
            catch (IOException)
            {
                // A run of another test, which has just ended.
                return "";
            }
        }
    }
}
