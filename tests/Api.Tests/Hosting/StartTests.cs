using System.Diagnostics;
using WebVm.Api.Hosting;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>Starts that cannot succeed: a sentence that says why, and nothing harmed.</summary>
public sealed class StartTests(SharedService shared)
{
    [Theory]
    [InlineData("WEBVM_LISTEN", "nonsense", "nonsense")]
    [InlineData("WEBVM_KEEP_RUNNING", "maybe", "KeepRunning")]
    [InlineData("WEBVM_ADMIN_TOKEN", "short", "AdminToken")]
    [InlineData("WEBVM_DATABASE", "gibberish", "WEBVM_DATABASE")]
    [InlineData("WEBVM_ADMIN_TOKEN_FILE", "/nowhere/token", "WEBVM_ADMIN_TOKEN_FILE names /nowhere/token")]
    [InlineData("WEBVM_DATABASE_FILE", "/proc/version", "WEBVM_DATABASE")]
    [InlineData("WEBVM_ISOLATION", "some", "WEBVM_ISOLATION is 'some', and must be one of best, namespaces, process.")]
    [InlineData("WEBVM_ISOLATION", "namespaces,process", "WEBVM_ISOLATION")]
    [InlineData("WEBVM_ISOLATION", "3", "WEBVM_ISOLATION")]
    [InlineData("WEBVM_MEMORY_OVERCOMMIT", "allow,refuse", "must be one of warn, allow, refuse")]
    [InlineData("WEBVM_MONITOR_USERS", "0-10", "WEBVM_MONITOR_USERS")]
    [InlineData("WEBVM_DATA", "/proc/none", "/proc/none")]
    [InlineData("WEBVM_LISTEN", "https://127.0.0.1:0", "WEBVM_CERTIFICATE")]
    [InlineData("WEBVM_PROXIES", "127.0.0.1; nonsense", "'nonsense'")]
    public async Task A_wrong_setting_is_named(string setting, string value, string named)
    {
        string folder = Directory.CreateTempSubdirectory("webvm-start-").FullName;
        try
        {
            Assert.Contains(
                named, await FailAsync(new() { ["WEBVM_DATA"] = folder, [setting] = value }), StringComparison.OrdinalIgnoreCase);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("/nowhere/certificate.pem")]
    [InlineData("/etc/hostname")]
    public async Task A_certificate_that_cannot_be_used_is_named(string file)
    {
        string folder = Directory.CreateTempSubdirectory("webvm-start-").FullName;
        try
        {
            Dictionary<string, string> settings =
                new() { ["WEBVM_DATA"] = folder, ["WEBVM_LISTEN"] = "https://127.0.0.1:0", ["WEBVM_CERTIFICATE"] = file };
            Assert.Contains("WEBVM_CERTIFICATE cannot be used", await FailAsync(settings), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_catalogue_that_cannot_be_read_and_a_variable_that_is_no_setting_are_told()
    {
        await using var service = await ServiceProcess.StartAsync(
            settings: new() { ["WEBVM_CATALOGUE"] = "/nowhere/images", ["WEBVM_LISTN"] = "http://127.0.0.1:1", ["WEBVM_ISOLATION"] = "",
                ["WEBVM_MONITOR_USERS"] = "" });
        Assert.Contains("Built-in images are not offered (WEBVM_CATALOGUE)", service.Log, StringComparison.Ordinal);
        Assert.Contains("WEBVM_LISTN is no setting of WebVm", service.Log, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_are_known_however_their_words_are_divided() =>
        Assert.Equal(
            ["WEBVM_IMAGES_FOLDER", "WEBVM_LISTN", "WEBVM_X"],
            UnknownSettings.Among(
                ["WEBVM_X", "WEBVM_LISTN", "WEBVM_LISTEN", "WEBVM_KEEP_EVENTS_DAYS", "WEBVM_KEEPEVENTS_DAYS", "WEBVM_ROOT",
                    "WEBVM_IMAGES_FOLDER", "PATH"]));

    /// <summary>The log and --help lead there.</summary>
    [Fact]
    public async Task Every_setting_stands_in_the_readme()
    {
        string[] table = [.. (await File.ReadAllLinesAsync(Path.Combine(Checkout.Source(), "README.md"), Rest.Cancellation)).Where(
            line => line.StartsWith('|'))];
        string[] named = [.. table.SelectMany(
            line => line.Split('`').Where(word => word.StartsWith(UnknownSettings.Prefix, StringComparison.Ordinal)))
                .Select(UnknownSettings.SettingOf)];
        string[] missing = [.. typeof(ServiceOptions).GetProperties().Where(property => property.CanWrite).Select(property => property.Name)
            .Where(name => !named.Any(
                given => given.EndsWith('…')
                    ? name.StartsWith(given.TrimEnd('…'), StringComparison.OrdinalIgnoreCase)
                    : given.Equals(name, StringComparison.OrdinalIgnoreCase)))];
        Assert.Empty(missing);
    }

    [Fact]
    public async Task Help_tells_what_the_program_does_and_starts_nothing()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-start-").FullName;
        try
        {
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "webvm"), "--help") { RedirectStandardOutput = true };
            start.Environment["WEBVM_DATA"] = Path.Combine(folder, "data");
            using var process = Process.Start(start)!;
            string said = await process.StandardOutput.ReadToEndAsync(Rest.Cancellation);
            await process.WaitForExitAsync(Rest.Cancellation);
            Assert.Equal(0, process.ExitCode);
            Assert.Contains("webvm --sign-in-link", said, StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_data_folder_serves_one_service_at_a_time()
    {
        string complaint = await FailAsync(new() { ["WEBVM_DATA"] = shared.Service.Data, ["WEBVM_LISTEN"] = "http://127.0.0.1:0" });
        Assert.Contains(shared.Service.Data, complaint, StringComparison.Ordinal);
        using var ready = await shared.Client.GetAsync("/health/ready", Rest.Cancellation);
        Assert.True(ready.IsSuccessStatusCode);
    }

    /// <summary>Builds before let every local user open the file, and so hold its lock.</summary>
    [Fact]
    public async Task A_stranger_who_holds_the_lock_does_not_keep_the_service_from_its_folder()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Root starts the stranger.");
        string folder = Directory.CreateTempSubdirectory("webvm-start-").FullName;
        File.SetUnixFileMode(folder, (UnixFileMode)Convert.ToInt32("755", 8));
        string name = Path.Combine(folder, "service.lock");
        await File.WriteAllTextAsync(name, "", Rest.Cancellation);
        using var stranger = Process.Start(
            "setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", "flock", name, "sleep", "600"])!;
        try
        {
            while (!CheckedFile.IsLocked(name))
            {
                await Task.Delay(10, Rest.Cancellation);
            }

            using (Settings.DataFolder.Claim(folder))
            {
                Assert.Throws<Settings.StartException>(() => Settings.DataFolder.Claim(folder));
            }
        }
        finally
        {
            stranger.Kill(entireProcessTree: true);
            await stranger.WaitForExitAsync(Rest.Cancellation);
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>A service may have more machines than it may open files.</summary>
    [Fact]
    public async Task Machines_at_rest_hold_no_files()
    {
        await using var service = await ServiceProcess.StartAsync(settings: Guests.Settings());
        for (int i = 0; i < 8; i++)
        {
            await service.Client.CreateVmAsync(new { name = Rest.NewName("rest") });
        }

        await service.StopAsync();
        await service.StartAgainAsync();
        var (_, list, _) = await service.Client.SendAsync(HttpMethod.Get, "/api/v1/vms");
        Assert.Equal(8, list!["items"]!.AsArray().Count);
        Assert.Empty(OpenFilesOfMachines(service));
        await service.Client.GetStringAsync($"/api/v1/vms/{list["items"]![0]!["id"]}/serial", Rest.Cancellation);
        Assert.Single(OpenFilesOfMachines(service));
    }

    [Fact]
    public async Task The_machines_of_a_database_are_driven_by_one_service_at_a_time()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-start-").FullName;
        try
        {
            string database = Databases.Of(shared.Service).ConnectionString;
            Assert.Contains(
                "drives the machines", await FailAsync(
                    new() { ["WEBVM_DATA"] = folder, ["WEBVM_DATABASE"] = database, ["WEBVM_LISTEN"] = "http://127.0.0.1:0" }),
                StringComparison.Ordinal);
            Assert.True(await shared.Client.GetAsync("/health/ready", Rest.Cancellation) is { IsSuccessStatusCode: true });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Runs the service to its failure. Returns the one line that it says.</summary>
    private static async Task<string> FailAsync(Dictionary<string, string> settings)
    {
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "webvm")) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(Rest.Cancellation);
        string complaint = await process.StandardError.ReadToEndAsync(Rest.Cancellation);
        await process.WaitForExitAsync(Rest.Cancellation);
        Assert.Equal(4, process.ExitCode);
        Assert.DoesNotContain("   at ", await output, StringComparison.Ordinal);
        Assert.StartsWith("webvm: ", complaint, StringComparison.Ordinal);
        Assert.Single(complaint.TrimEnd().Split('\n'));
        return complaint;
    }

    private static string[] OpenFilesOfMachines(ServiceProcess service) =>
        [.. Directory.GetFiles($"/proc/{service.ProcessId}/fd").Select(Target)
            .Where(file => file.StartsWith(Path.Combine(service.Data, "vms") + "/", StringComparison.Ordinal))];

    private static string Target(string descriptor)
    {
        try
        {
            return new FileInfo(descriptor).LinkTarget ?? "";
        }
        catch (IOException)
        {
            // Closed meanwhile.
            return "";
        }
    }
}
