using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using WebVm.Api.Persistence;
using WebVm.Api.Settings;
using Xunit;

namespace WebVm.Api.Tests.Persistence;

public sealed class PrivateClusterTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-cluster-").FullName;

    private string DataFolder => Path.Combine(_folder, "pg", "data");

    public ValueTask InitializeAsync()
    {
        File.SetUnixFileMode(_folder, (UnixFileMode)Convert.ToInt32("755", 8));
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task Data_of_another_major_version_is_refused_by_name()
    {
        Directory.CreateDirectory(DataFolder);
        await File.WriteAllTextAsync(Path.Combine(DataFolder, "PG_VERSION"), "9\n", Rest.Cancellation);
        using var cluster = Cluster();
        var refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("made by PostgreSQL 9,", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("pg_upgrade", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(["PG_VERSION"], Directory.GetFileSystemEntries(DataFolder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Data_without_a_version_are_kept()
    {
        string precious = Path.Combine(DataFolder, "base", "1", "1259");
        Directory.CreateDirectory(Path.GetDirectoryName(precious)!);
        await File.WriteAllTextAsync(precious, "rows", Rest.Cancellation);
        using var cluster = Cluster();
        var refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("PG_VERSION is missing", refusal.Message, StringComparison.Ordinal);
        Assert.Equal("rows", await File.ReadAllTextAsync(precious, Rest.Cancellation));
    }

    [Fact]
    public async Task A_beginning_that_was_interrupted_is_begun_again()
    {
        // initdb writes its version first and the rest later.
        Directory.CreateDirectory(DataFolder + ".new");
        await File.WriteAllTextAsync(Path.Combine(DataFolder + ".new", "PG_VERSION"), "15\n", Rest.Cancellation);
        using var cluster = Cluster();
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        Assert.True(cluster.LooksAlive());
        Assert.False(Directory.Exists(DataFolder + ".new"));
        await cluster.StopAsync(Rest.Cancellation);
    }

    [Fact]
    public async Task Missing_programs_are_named()
    {
        using var cluster = new PrivateCluster(Path.Combine(_folder, "pg"), _folder, NullLogger<PrivateCluster>.Instance);
        var refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("WEBVM_POSTGRES_PROGRAMS", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_the_services_account_is_let_in()
    {
        using var cluster = Cluster();
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        try
        {
            Assert.Equal((0, "1"), await AskAsync("webvm", Environment.UserName));
            // Of the account of the database itself, which gets to its socket.
            Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root's service has an account of its own for the database.");
            Assert.Equal(2, (await AskAsync("webvm", "postgres")).ExitCode);
            Assert.Equal(2, (await AskAsync("postgres", "postgres")).ExitCode);
        }
        finally
        {
            await cluster.StopAsync(Rest.Cancellation);
        }

        async Task<(int ExitCode, string Output)> AskAsync(string role, string account)
        {
            using var psql = Process.Start(new ProcessStartInfo("setpriv",
                [.. account == Environment.UserName
                    ? Array.Empty<string>()
                    : ["--reuid", account, "--clear-groups"], "psql", "-h", Path.Combine(_folder, "pg", "run"), "-U", role, "-d", "webvm",
                    "-Atc", "SELECT 1"])
            {
                RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/",
            })!;
            string output = await psql.StandardOutput.ReadToEndAsync(Rest.Cancellation);
            await psql.WaitForExitAsync(Rest.Cancellation);
            return (psql.ExitCode, output.Trim());
        }
    }

    /// <summary>A cluster that was started by an earlier build lets in whoever reaches its socket.</summary>
    [Fact]
    public async Task A_running_cluster_that_trusts_is_started_anew()
    {
        using (var cluster = Cluster())
        {
            await cluster.EnsureRunningAsync(Rest.Cancellation);
            await cluster.StopAsync(Rest.Cancellation);
        }

        string programs = Directory.GetDirectories("/usr/lib/postgresql").Select(path => Path.Combine(path, "bin"))
            .First(path => File.Exists(Path.Combine(path, "pg_ctl")));
        string[] account = Environment.IsPrivilegedProcess
            ? ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
            : ["env"];
        await RunAsync(
            account[0], [.. account[1..], Path.Combine(
                programs, "pg_ctl"), "start", "-w", "-D", DataFolder, "-l", "/dev/null", "-o",
                $"-c listen_addresses='' -c unix_socket_directories='{_folder}/pg/run'"]);
        string before = (await File.ReadAllLinesAsync(Path.Combine(DataFolder, "postmaster.pid"), Rest.Cancellation))[0];
        using var again = Cluster();
        await again.EnsureRunningAsync(Rest.Cancellation);
        Assert.NotEqual(before, (await File.ReadAllLinesAsync(Path.Combine(DataFolder, "postmaster.pid"), Rest.Cancellation))[0]);
        await again.StopAsync(Rest.Cancellation);
    }

    [Fact]
    public async Task A_pid_file_whose_number_is_anothers_by_now_does_not_hinder_the_start()
    {
        using var cluster = Cluster();
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        string pidFile = Path.Combine(DataFolder, "postmaster.pid");
        string[] lines = await File.ReadAllLinesAsync(pidFile, Rest.Cancellation);
        await RunAsync("kill", "-KILL", lines[0]);
        using var other = Environment.IsPrivilegedProcess
            ? Process.Start("setpriv", ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "sleep", "600"])!
            : Process.Start("sleep", ["600"])!;
        try
        {
            for (long start = Stopwatch.GetTimestamp(); cluster.LooksAlive() && Stopwatch.GetElapsedTime(start) < Rest.Patience;)
            {
                await Task.Delay(50, Rest.Cancellation);
            }

            await File.WriteAllLinesAsync(pidFile, [other.Id.ToString(null, null), .. lines[1..]], Rest.Cancellation);
            Assert.False(cluster.LooksAlive());
            await cluster.EnsureRunningAsync(Rest.Cancellation);
            Assert.True(cluster.LooksAlive());
            Assert.False(other.HasExited);
        }
        finally
        {
            other.Kill();
            await cluster.StopAsync(Rest.Cancellation);
        }
    }

    [Fact]
    public async Task A_full_disk_is_named_and_leaves_nothing_that_hinders_the_next_start()
    {
        using var disk = SmallDisk.Mount(16);
        using var cluster = new PrivateCluster(Path.Combine(disk.Path, "pg"), null, NullLogger<PrivateCluster>.Instance);
        var refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("MiB left on its disk", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
        disk.Resize(400);
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        await cluster.StopAsync(Rest.Cancellation);
        disk.Resize(400);
        disk.Fill(0);
        refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("MiB left on its disk", refusal.Message, StringComparison.Ordinal);
        disk.Empty();
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        await cluster.StopAsync(Rest.Cancellation);
    }

    [Fact]
    public async Task A_folder_that_is_closed_to_the_account_of_the_database_is_named()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root's service has an account of its own for the database.");
        File.SetUnixFileMode(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var cluster = Cluster();
        var refusal = await Assert.ThrowsAsync<ClusterException>(() => cluster.EnsureRunningAsync(Rest.Cancellation));
        Assert.Contains("has to be let into every folder above it", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }

    [Fact]
    public async Task A_service_that_fails_to_start_leaves_no_database_running()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "webvm")) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = _folder;
        start.Environment["WEBVM_LISTEN"] = $"http://{taken.LocalEndpoint}";
        using var service = Process.Start(start)!;
        var output = service.StandardOutput.ReadToEndAsync(Rest.Cancellation);
        Assert.Contains("address already in use", await service.StandardError.ReadToEndAsync(Rest.Cancellation), StringComparison.Ordinal);
        await service.WaitForExitAsync(Rest.Cancellation);
        Assert.Contains("Starting the PostgreSQL cluster", await output, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(_folder, "postgres", "data", "PG_VERSION")));
        Assert.False(File.Exists(Path.Combine(_folder, "postgres", "data", "postmaster.pid")));
    }

    [Fact]
    public async Task While_the_database_is_away_requests_are_told_to_come_again_and_then_served()
    {
        using var cluster = Cluster();
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        await using var service = await ServiceProcess.StartAsync(
            settings: new(Guests.Settings()) { ["WEBVM_DATABASE"] = cluster.ConnectionString });
        var vm = await service.Client.CreateVmAsync(new { name = Rest.NewName() });
        await cluster.StopAsync(Rest.Cancellation);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await service.Client.SendAsync(HttpMethod.Get, "/health/ready")).Status);
        Assert.Equal(HttpStatusCode.OK, (await service.Client.SendAsync(HttpMethod.Get, "/health/live")).Status);
        var answers = await Task.WhenAll(
            service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vm["id"]}"),
            service.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() }),
            service.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() }, ("Idempotency-Key", "k")));
        Assert.All(answers, answer =>
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.Status);
            Assert.NotNull(answer.Headers.RetryAfter?.Delta);
            Assert.EndsWith(":unavailable", (string)answer.Body!["type"]!, StringComparison.Ordinal);
        });
        await cluster.EnsureRunningAsync(Rest.Cancellation);
        Assert.Equal(HttpStatusCode.OK, (await service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vm["id"]}")).Status);
        Assert.Equal(
            HttpStatusCode.Created, (await service.Client.SendAsync(HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() })).Status);
        Assert.Equal(HttpStatusCode.OK, (await service.Client.SendAsync(HttpMethod.Get, "/health/ready")).Status);
        await service.StopAsync();
        await cluster.StopAsync(Rest.Cancellation);
    }

    private PrivateCluster Cluster() => new(Path.Combine(_folder, "pg"), null, NullLogger<PrivateCluster>.Instance);

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync(Rest.Cancellation);
    }
}
