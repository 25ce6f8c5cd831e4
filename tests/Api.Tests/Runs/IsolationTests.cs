using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using WebVm.Api.Operations;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;
using WebVm.Api.Runs;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>Which walls are demanded, found and shown, and whose user id a monitor has.</summary>
public sealed class IsolationTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("webvm-isolation-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("level users\nwalls uid,pid,mount,net,ipc,uts,root,landlock:6,seccomp\n", true, true)]
    [InlineData("without users: no\nlevel namespaces\nwalls user,pid,mount,net,ipc,uts,root,seccomp\n", true, true)]
    [InlineData("level process\nwalls uid,landlock:4,seccomp\n", false, true)]
    [InlineData("level namespaces\nwalls user,pid,net,seccomp\n", false, true)]
    [InlineData("level process\nwalls landlock:4\n", false, false)]
    [InlineData("level none\nwalls \n", false, false)]
    public void A_demand_is_met_by_the_walls_that_stand(string printed, bool namespaces, bool process)
    {
        var found = Isolation.Parse(printed)!;
        Assert.Equal(
            (namespaces, process, true), (found.Meets(
                IsolationDemand.Namespaces), found.Meets(IsolationDemand.Process), found.Meets(IsolationDemand.Best)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("level root\n")]
    [InlineData("usage: webvm-vmm")]
    public void What_is_no_probe_is_not_believed(string printed) => Assert.Null(Isolation.Parse(printed));

    [Fact]
    public async Task Below_what_is_demanded_no_machine_starts()
    {
        string program = Path.Combine(_root, "monitor");
        await File.WriteAllTextAsync(
            program, "#!/bin/sh\nenv >\"$0.environment\"\nprintf 'without users: no users\\nwithout namespaces: it is "
                + "forbidden\\nlevel process\\nwalls landlock:6,seccomp\\n'\n",
            Rest.Cancellation);
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Environment.SetEnvironmentVariable("WEBVM_TEST_SECRET", "secret");
        var options = new ServiceOptions { Data = _root, Monitor = program, Isolation = IsolationDemand.Namespaces };
        var isolation = new MonitorIsolation(
            Options.Create(options), new ControlGroups(Options.Create(options), NullLogger<ControlGroups>.Instance),
            NullLogger<MonitorIsolation>.Instance);
        var refusal = await Assert.ThrowsAsync<OperationFailedException>(isolation.WallsAsync);
        Assert.Equal(
            "No machine starts: WEBVM_ISOLATION demands namespaces, and this host lets the service build \"process\" (landlock:6, "
            + "seccomp) only: users: no users; namespaces: it is forbidden.",
            refusal.Message);
        Assert.Equal(refusal.Message, await isolation.RefusalAsync());
        options.Isolation = IsolationDemand.Process;
        Assert.Equal("process", (await isolation.WallsAsync()).Level);
        Assert.Null(await isolation.RefusalAsync());
        string[] environment = [.. (await File.ReadAllLinesAsync(program + ".environment", Rest.Cancellation)).Select(
            line => line.Split('=')[0])];
        Assert.Contains("DOTNET_EnableDiagnostics", environment);
        // PWD and _ are the shell's own.
        Assert.Empty(
            environment.Except(
                ["PATH", "DOTNET_ROOT", "DOTNET_ROOT_X64", "LANG", "LC_ALL", "DOTNET_EnableDiagnostics", "PWD", "_", "SHLVL", "OLDPWD"]));
    }

    [Fact]
    public void Each_run_has_a_user_id_of_its_own_as_long_as_its_folder_is_there()
    {
        var users = new MonitorUsers(Options.Create(new ServiceOptions { MonitorUsers = "2000000000-2000000002" }));
        var runs = Enumerable.Range(0, 4).Select(i => new RunDirectory(_root, $"run{i}")).ToArray();
        Array.ForEach(runs, run => run.Create());
        uint[] given = [.. runs[..3].Select(users.Take)];
        Assert.Equal((uint[])[2000000000, 2000000001, 2000000002], given.Order());
        // The same again, also by the next service.
        Assert.Equal(
            given[1], new MonitorUsers(Options.Create(new ServiceOptions { MonitorUsers = "2000000000-2000000002" })).Take(runs[1]));
        Assert.Contains(
            "WEBVM_MONITOR_USERS", Assert.Throws<OperationFailedException>(() => users.Take(runs[3])).Message, StringComparison.Ordinal);
        runs[0].Delete();
        Assert.Equal(given[0], users.Take(runs[3]));
    }

    [Fact]
    public void A_user_id_that_a_process_has_is_not_given()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Root starts the process.");
        var users = new MonitorUsers(Options.Create(new ServiceOptions { MonitorUsers = "2000000010-2000000010" }));
        var run = new RunDirectory(_root, "run");
        run.Create();
        using var process = System.Diagnostics.Process.Start("setpriv", ["--reuid", "2000000010", "--clear-groups", "sleep", "600"])!;
        while (ProcessHandle.UsersOf(process.Id) is [0, ..])
        {
            Thread.Sleep(10);
        }

        Assert.Throws<OperationFailedException>(() => users.Take(run));
        process.Kill();
        process.WaitForExit();
        Assert.Equal(2000000010u, users.Take(run));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0-1")]
    [InlineData("100000")]
    [InlineData("200000-100000")]
    [InlineData("2000000000-3000000000")]
    [InlineData("-100000-200000")]
    public void A_range_of_user_ids_is_above_those_of_the_host(string text) => Assert.Throws<FormatException>(() => UserRange.Parse(text));
}
