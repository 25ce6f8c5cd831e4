using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>A data folder, machines that run and a state that was saved by the last build whose monitors had no keeper.</summary>
public sealed class UpgradeTests : IDisposable
{
    private const string Commit = "c529bd6";

    /// <summary>Built once on this host, which takes a minute or two, and kept beside the guests' images.</summary>
    private static readonly string s_older = Path.Combine(Path.GetDirectoryName(Guests.Catalogue)!, $"older-{Commit}");

    /// <summary>That build's monitors run as nobody, who reaches this.</summary>
    private readonly string _copy = Directory.CreateTempSubdirectory("webvm-older-").FullName;

    public void Dispose() => Directory.Delete(_copy, recursive: true);

    [Fact(Explicit = true)]
    public async Task Machines_of_the_last_build_are_led_until_they_end_and_go_on_behind_walls()
    {
        string program = await BuildAsync();
        await using var service = await ServiceProcess.StartAsync(
            settings: new(Guests.Settings()) { ["WEBVM_MONITOR"] = Path.Combine(Path.GetDirectoryName(program)!, "webvm-vmm") },
            program: program);
        string kernel = await IdleGuest.UploadAsync(service.Client);
        string running = await StartAsync(service, kernel);
        string killed = await StartAsync(service, kernel);
        string saved = await StartAsync(service, kernel);
        Assert.Equal("succeeded", await PowerAsync(service, saved, "save"));
        string runs = Path.Combine(service.Data, "run");
        string[] folders = Directory.GetDirectories(runs);
        Assert.Equal(2, folders.Length);
        int[] sessions = [.. folders.Select(
            folder => int.Parse(File.ReadAllText(Path.Combine(folder, "session")), CultureInfo.InvariantCulture))];
        await service.KillAsync();

        service.Program = Path.Combine(AppContext.BaseDirectory, "webvm");
        service.Settings.Remove("WEBVM_MONITOR");
        await service.StartAgainAsync();
        foreach (string vm in new[] { running, killed })
        {
            await AwaitAsync(service, vm, "running");
            Assert.Null((await service.Client.SendAsync(HttpMethod.Get, vm)).Body!["isolation"]);
        }

        // The very same processes, in folders that nobody else enters.
        Assert.Equal(folders.Order(), Directory.GetDirectories(runs).Order());
        Assert.All(sessions, session => Assert.True(File.Exists($"/proc/{session}/stat")));
        Assert.All(folders, folder => Assert.Equal(0b111_000_000u, FileIdentity.Of(folder)!.Value.Mode));
        Assert.All(Directory.GetFileSystemEntries(Path.Combine(service.Data, "vms"), "*", SearchOption.AllDirectories), path =>
        {
            var file = FileIdentity.Of(path)!.Value;
            Assert.Equal((PrivateFolder.Caller, file.IsDirectory ? 0b111_000_000u : 0b110_000_000u), (file.Owner, file.Mode));
        });

        // It is led as it always was.
        Assert.Equal("R\n", await service.Client.GetStringAsync(running + "/serial", Rest.Cancellation));
        Assert.Equal("succeeded", await PowerAsync(service, running, "reset"));
        await RunningMachine.EventuallyAsync(
            service, async () => await service.Client.GetStringAsync(running + "/serial", Rest.Cancellation) == "R\nR\n");
        Assert.Equal("succeeded", await PowerAsync(service, running, "pause"));
        await AwaitAsync(service, running, "paused");
        Assert.Equal("succeeded", await PowerAsync(service, running, "resume"));
        await AwaitAsync(service, running, "running");
        Assert.NotEmpty(await service.Client.GetByteArrayAsync(running + "/screenshot", Rest.Cancellation));

        // It saves as it always did, and the state is the service's own.
        var (_, snapshot, _) = await service.Client.SendAsync(HttpMethod.Post, running + "/snapshots?wait=90", new { name = "older" });
        Assert.Equal("succeeded", (string)snapshot!["state"]!);
        Assert.All(
            Directory.GetFiles(Path.Combine(service.Data, "vms"), "*.memory", SearchOption.AllDirectories),
            file => Assert.Equal(PrivateFolder.Caller, FileIdentity.Of(file)!.Value.Owner));

        // How it ends is known, as the shell around it still writes it down.
        string name = (string)(await service.Client.SendAsync(HttpMethod.Get, killed)).Body!["name"]!;
        string end = Path.Combine(
            folders.Single(
                folder => File.ReadAllText(Path.Combine(folder, "machine.json")).Contains($"\"{name}\"", StringComparison.Ordinal)),
            "session");
        using (var kill = Process.Start(
            "pkill", ["-KILL", "-s", (await File.ReadAllTextAsync(end, Rest.Cancellation)).Trim(), "webvm-vmm"]))
        {
            await kill.WaitForExitAsync(Rest.Cancellation);
        }

        await AwaitAsync(service, killed, "running", started: true);
        Assert.Equal("succeeded", await PowerAsync(service, running, "off"));
        Assert.Equal("succeeded", await PowerAsync(service, running, "on"));
        Assert.Equal("succeeded", await PowerAsync(service, saved, "on"));
        foreach (string vm in new[] { running, killed, saved })
        {
            await AwaitAsync(service, vm, "running");
            Assert.NotNull((await service.Client.SendAsync(HttpMethod.Get, vm)).Body!["isolation"]);
            Assert.Equal("succeeded", await PowerAsync(service, vm, "off"));
        }
    }

    private static async Task<string> StartAsync(ServiceProcess service, string kernel)
    {
        var vm = await service.Client.CreateVmAsync(IdleGuest.Settings(kernel, Rest.NewName("upgrade")));
        string path = $"/api/v1/vms/{vm["id"]}";
        Assert.Equal("succeeded", await PowerAsync(service, path, "on"));
        return path;
    }

    private static async Task<string> PowerAsync(ServiceProcess service, string vm, string action) =>
        (string)(await service.Client.EndAsync(
            (await service.Client.SendAsync(HttpMethod.Put, vm + "/power?wait=60", new { action })).Body!))["state"]!;

    /// <param name="started">Whether it has to be started by this service.</param>
    private static Task AwaitAsync(ServiceProcess service, string vm, string state, bool started = false) =>
        RunningMachine.EventuallyAsync(service, async () =>
        (await service.Client.SendAsync(HttpMethod.Get, vm)).Body is JsonNode body && (string)body["power"]!["state"]! == state
            && (!started || body["isolation"] is not null));

    /// <summary>The program of the older build.</summary>
    private async Task<string> BuildAsync()
    {
        const string program = "src/Web/bin/Release/net10.0/webvm";
        if (!File.Exists(Path.Combine(s_older, program)))
        {
            string source = Checkout.Source();
            Assert.SkipUnless(await RunAsync("git", source, "cat-file", "-e", Commit) == 0, "The older commit is not in this checkout.");
            Directory.CreateDirectory(s_older);
            Assert.Equal(0, await RunAsync("sh", source, "-c", $"git archive {Commit} | tar -x -C {s_older}"));
            Assert.Equal(
                0, await RunAsync("dotnet", s_older, "build", "src/Web", "-c", "Release", "-v", "q", "-nologo", "-nodeReuse:false"));
        }

        Assert.Equal(0, await RunAsync("cp", s_older, "-a", ".", _copy));
        File.SetUnixFileMode(_copy, (UnixFileMode)0b111_101_101);
        return Path.Combine(_copy, program);
    }

    private static async Task<int> RunAsync(string program, string folder, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = folder })!;
        await process.WaitForExitAsync(Rest.Cancellation);
        return process.ExitCode;
    }
}
