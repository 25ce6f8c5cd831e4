using System.Diagnostics;
using System.Net;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>What others on the host can make of the service's own process and files.</summary>
public sealed class OwnDoorsTests(SharedService shared)
{
    [Fact]
    public void The_runtimes_diagnostics_are_closed_and_leave_nothing()
    {
        Assert.Empty(Directory.GetFileSystemEntries(Path.GetTempPath(), $"dotnet-diagnostic-{shared.Service.ProcessId}-*"));
        Assert.Empty(Directory.GetFileSystemEntries(Path.GetTempPath(), $"clr-debug-pipe-{shared.Service.ProcessId}-*"));
        Assert.Equal("webvm\n", File.ReadAllText($"/proc/{shared.Service.ProcessId}/comm"));
        string listening = File.ReadAllText($"/proc/{shared.Service.ProcessId}/net/unix");
        Assert.DoesNotContain($"dotnet-diagnostic-{shared.Service.ProcessId}-", listening, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Programs_that_the_service_starts_have_none_of_its_secrets()
    {
        string postmaster = File.ReadLines(Path.Combine(shared.Service.Data, "postgres", "data", "postmaster.pid")).First();
        Assert.DoesNotContain(
            ServiceProcess.AdminToken, await File.ReadAllTextAsync($"/proc/{postmaster}/environ", Rest.Cancellation),
            StringComparison.Ordinal);
    }

    /// <summary>/proc/PID belongs to root when a process of another account is not dumpable (proc(5)).</summary>
    [Fact]
    public async Task Others_of_its_account_do_not_see_into_it()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Root starts it as somebody else.");
        string folder = Directory.CreateTempSubdirectory("webvm-doors-").FullName;
        File.SetUnixFileMode(folder, (UnixFileMode)Convert.ToInt32("777", 8));
        var start = new ProcessStartInfo(
            "setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", Path.Combine(
                AppContext.BaseDirectory, "webvm")]) { RedirectStandardOutput = true,
                RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = Path.Combine(folder, "data");
        start.Environment["WEBVM_LISTEN"] = "http://127.0.0.1:0";
        // It waits for the answer of nobody.
        start.Environment["WEBVM_DATABASE"] = "Host=192.0.2.1;Username=webvm;Password=none;Timeout=120";
        using var service = Process.Start(start)!;
        try
        {
            string lockFile = Path.Combine(folder, "data", "service.lock");
            for (long began = Stopwatch.GetTimestamp(); !File.Exists(lockFile) && !service.HasExited
                && Stopwatch.GetElapsedTime(began) < Rest.Patience;)
            {
                await Task.Delay(20, Rest.Cancellation);
            }

            Assert.True(
                File.Exists(lockFile), service.HasExited
                    ? await service.StandardError.ReadToEndAsync(Rest.Cancellation)
                    : "It does not start.");
            Assert.Equal(0u, FileIdentity.Of($"/proc/{service.Id}/environ")!.Value.Owner);
            Assert.Equal(0b110_000_000u, FileIdentity.Of(lockFile)!.Value.Mode);
            Assert.Equal(0b111_000_000u, FileIdentity.Of(Path.Combine(folder, "data"))!.Value.Mode);
        }
        finally
        {
            service.Kill();
            await service.WaitForExitAsync(Rest.Cancellation);
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task What_the_service_keeps_is_its_own()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName("private") });
        await shared.Client.GetStringAsync($"/api/v1/vms/{vm["id"]}/serial", Rest.Cancellation);
        foreach (string folder in new[] { "run", "vms", "images", "keys" }.Select(name => Path.Combine(shared.Service.Data, name))
            .Where(Directory.Exists))
        {
            Assert.Equal(0b111_000_000u, FileIdentity.Of(folder)!.Value.Mode);
        }

        string journal = Path.Combine(
            shared.Service.Data, "vms", ((string)vm["id"]!).Replace("-", "", StringComparison.Ordinal), "serial.log");
        Assert.Equal(0b110_000_000u, FileIdentity.Of(journal)!.Value.Mode);
        await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?wait=60");
    }

    [Theory]
    [InlineData("Host=database;Username=webvm;Database=webvm", false)]
    [InlineData("Host=database;Username=webvm;Password=", false)]
    [InlineData("Host=database;Username=webvm;Password=secret", true)]
    [InlineData("host=database;pwd=secret", true)]
    [InlineData("postgres://webvm:secret@database/webvm", true)]
    public void A_connection_string_is_a_secret_if_it_has_a_password(string connection, bool secret) =>
        Assert.Equal(secret, SecretFiles.HasPassword(connection));

    [Fact]
    public async Task Secrets_come_from_files()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-secrets-").FullName;
        try
        {
            const string token = "from-a-file-0123456789-0123456789-0123456789";
            string file = Path.Combine(folder, "token");
            await File.WriteAllTextAsync(file, token + "\n", Rest.Cancellation);
            string credentials = Directory.CreateDirectory(Path.Combine(folder, "credentials")).FullName;
            await File.WriteAllTextAsync(Path.Combine(credentials, "webvm.admin-token"), "credential-" + token, Rest.Cancellation);
            await using (var service = await ServiceProcess.StartAsync(
                settings: new() { ["WEBVM_ADMIN_TOKEN"] = "", ["WEBVM_ADMIN_TOKEN_FILE"] = file, ["CREDENTIALS_DIRECTORY"] = credentials }))
            {
                Assert.Equal(HttpStatusCode.OK, await AskAsync(service, token));
                Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(service, "credential-" + token));
            }

            await using (var service = await ServiceProcess.StartAsync(
                settings: new() { ["WEBVM_ADMIN_TOKEN"] = "", ["CREDENTIALS_DIRECTORY"] = credentials }))
            {
                Assert.Equal(HttpStatusCode.OK, await AskAsync(service, "credential-" + token));
                Assert.DoesNotContain("stands in the service's environment", service.Output, StringComparison.Ordinal);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<HttpStatusCode> AskAsync(ServiceProcess service, string token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/vms");
        request.Headers.Authorization = new("Bearer", token);
        using var answer = await service.Client.SendAsync(request, Rest.Cancellation);
        return answer.StatusCode;
    }
}
