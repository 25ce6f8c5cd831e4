using System.Diagnostics;
using System.Globalization;
using WebVm.Api.Operations;
using WebVm.Api.Runs;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>
/// A run's folder is the service's own; but those of older builds were their monitors', which may have put anything there.
/// </summary>
public sealed class RunDirectoryTests : IDisposable
{
    private const uint Nobody = 65534;

    private readonly string _root = Directory.CreateTempSubdirectory("webvm-runs-").FullName;
    private readonly RunDirectory _run;
    private readonly List<Process> _started = [];

    public RunDirectoryTests()
    {
        _run = new RunDirectory(_root, "run");
        _run.Create();
    }

    public void Dispose()
    {
        foreach (var process in _started)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
        }

        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public void A_folder_is_for_the_service_alone()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_run.Path));
        var another = new RunDirectory(_root, "another");
        Directory.CreateSymbolicLink(another.Path, _run.Path);
        Assert.Throws<IOException>(another.Create);
    }

    [Fact]
    public void What_a_keeper_writes_is_read()
    {
        File.WriteAllText(_run.Exit, "43   \n");
        File.WriteAllText(_run.Log, new string('x', 1000) + "\u001b[31mthe end\n");
        Assert.Equal(43, _run.ReadExitCode());
        Assert.EndsWith(" [31mthe end", _run.LogTail(), StringComparison.Ordinal);
        Assert.InRange(_run.LogTail().Length, 390, 400);
        Write(Environment.ProcessId, 4711, "user 2000000007\nlater something\n");
        var record = _run.ReadRecord()!;
        Assert.Equal(new ProcessIdentity(4711, 1), record.Monitor);
        Assert.Equal(("namespaces", 2000000007u), (record.Level, record.User));
        Assert.Equal(["pid", "landlock:6"], record.Walls);
    }

    [Theory]
    [InlineData("rm process; mkfifo exit monitor.log process lock")]
    [InlineData("rm process; mkdir exit monitor.log process lock")]
    [InlineData("cp process elsewhere; rm process; for name in exit monitor.log process lock; do ln -s elsewhere $name; done")]
    [InlineData("mv process elsewhere; for name in exit monitor.log process lock; do ln elsewhere $name; done")]
    [InlineData("ln -s /dev/zero exit; ln -s /dev/zero monitor.log; ln -sf /dev/zero process")]
    [InlineData("truncate -s 1T exit process")]
    [InlineData("printf '1\\n2' >exit; echo 256 >exit; chmod 666 process")]
    [InlineData("echo -1 >exit; sed -i 's/^monitor .*/monitor 1 1/' process")]
    [InlineData("sed -i 's/^monitor .*/monitor -1 1/' process")]
    [InlineData("sed -i 's/^boot .*/boot here/' process")]
    [InlineData("sed -i 's/^format .*/format 2/' process")]
    [InlineData("echo 'level ../..' >>process")]
    [InlineData("chown 65534 process")]
    public void What_stands_in_its_place_is_taken_for_nothing(string make)
    {
        Write(Environment.ProcessId, Environment.ProcessId, "");
        Shell(make);
        Assert.Null(_run.ReadExitCode());
        Assert.Null(_run.ReadRecord());
        Assert.Equal("", _run.LogTail());
        Assert.False(_run.IsAlive());
        _run.KillAll();
    }

    [Fact]
    public void A_service_that_has_just_started_finds_the_processes_and_ends_them()
    {
        var keeper = Start();
        var monitor = Start();
        Write(keeper, monitor);
        Assert.True(_run.IsAlive());
        _run.KillMonitor();
        monitor.WaitForExit();
        Assert.False(keeper.HasExited);
        Assert.True(_run.IsAlive());
        _run.KillAll();
        keeper.WaitForExit();
        Assert.False(_run.IsAlive());
    }

    [Fact]
    public void A_monitor_whose_keeper_was_killed_is_still_found_and_ended()
    {
        var keeper = Start();
        var monitor = Start();
        Write(keeper, monitor);
        keeper.Kill();
        keeper.WaitForExit();
        Assert.True(_run.IsAlive());
        _run.KillMonitor();
        monitor.WaitForExit();
        Assert.False(_run.IsAlive());
    }

    /// <summary>A monitor may end between the question how it does and the look at its keeper.</summary>
    [Fact]
    public void A_keeper_that_has_written_down_the_end_was_not_killed()
    {
        var keeper = Start();
        Write(keeper, Start());
        Assert.True(_run.IsKept());
        keeper.Kill();
        keeper.WaitForExit();
        Assert.False(_run.IsKept());
        File.WriteAllText(_run.Exit, "0     ");
        Assert.True(_run.IsKept());
    }

    [Fact]
    public void Who_has_inherited_a_number_is_left_alone()
    {
        var stranger = Start();
        ulong start = ProcessHandle.StartTimeOf(stranger.Id)!.Value;
        Write(new ProcessIdentity(stranger.Id, start - 1), new ProcessIdentity(stranger.Id, start + 1), HostBoot.Id);
        Assert.False(_run.IsAlive());
        _run.KillAll();
        Assert.True(IsRunning(stranger));
    }

    [Fact]
    public void Numbers_of_another_boot_of_the_host_name_nobody()
    {
        var stranger = Start();
        var identity = new ProcessIdentity(stranger.Id, ProcessHandle.StartTimeOf(stranger.Id)!.Value);
        Write(identity, identity, Guid.NewGuid().ToString());
        Assert.False(_run.IsAlive());
        _run.KillAll();
        Assert.True(IsRunning(stranger));
    }

    /// <summary>Builds before the keeper let the monitor, as "nobody", write down the number that the service signalled as root.</summary>
    [Theory]
    [InlineData("echo {0} >session")]
    [InlineData("echo 1 >session")]
    [InlineData("mkfifo session")]
    [InlineData("printf 'format 1\\nboot {1}\\nkeeper {0} {2}\\nmonitor {0} {2}\\nlevel none\\n' >process")]
    public void A_monitor_of_an_older_build_has_nobody_else_killed(string forge)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Monitors of an ordinary account's service had its own rights.");
        var victim = Start();
        Shell(string.Format(CultureInfo.InvariantCulture, forge, victim.Id, HostBoot.Id, ProcessHandle.StartTimeOf(victim.Id)));
        Shell("chown -R 65534:65534 .");
        Assert.True(_run.Launched);
        Assert.False(_run.IsAlive());
        _run.KillAll();
        Assert.True(IsRunning(victim));
    }

    [Fact]
    public void A_monitor_of_an_older_build_is_found_by_the_lock_that_it_holds()
    {
        Shell(Environment.IsPrivilegedProcess ? "chown -R 65534:65534 ." : "true");
        // As the shell of those builds did; the second process is the monitor.
        var shell = Start("sh", "-c", "exec 9>>lock && flock 9 && echo $$ >session && sleep 600");
        while (!_run.Launched || !CheckedFile.IsLocked(_run.Lock))
        {
            Thread.Sleep(10);
        }

        var stranger = Start();
        Assert.True(_run.IsAlive());
        _run.KillMonitor();
        shell.WaitForExit();
        while (_run.IsAlive())
        {
            Thread.Sleep(10);
        }

        Assert.True(IsRunning(stranger));
    }

    [Fact]
    public void What_is_taken_from_another_is_the_services_alone_and_no_link_is_followed()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root takes files from others.");
        string outside = Path.Combine(_root, "outside");
        File.WriteAllText(outside, "");
        File.SetUnixFileMode(outside, (UnixFileMode)Convert.ToInt32("644", 8));
        Shell("mkdir -p saved/inner; touch saved/inner/memory; ln -s ../../outside saved/link; mkfifo saved/pipe; chown -R -h "
            + "65534:65534 saved; chown 1 ../outside; ln ../outside saved/second; chmod -R 777 saved/inner");
        string saved = Path.Combine(_run.Path, "saved");
        Assert.Equal(["link", "pipe", "second"], PrivateFolder.Take(saved).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(
            (0u, 0b111_000_000u), (FileIdentity.Of(Path.Combine(saved, "inner"))!.Value.Owner,
                FileIdentity.Of(Path.Combine(saved, "inner"))!.Value.Mode));
        Assert.Equal(
            (0u, 0b110_000_000u), (FileIdentity.Of(Path.Combine(saved, "inner", "memory"))!.Value.Owner,
                FileIdentity.Of(Path.Combine(saved, "inner", "memory"))!.Value.Mode));
        Assert.Equal((1u, 0b110_100_100u), (FileIdentity.Of(outside)!.Value.Owner, FileIdentity.Of(outside)!.Value.Mode));
        var failure = Assert.Throws<OperationFailedException>(() => SavedFiles.Find(saved));
        Assert.Contains("no file of the service's", failure.Message, StringComparison.Ordinal);
    }

    private Process Start(string program = "sleep", params string[] arguments)
    {
        var process = Process.Start(Environment.IsPrivilegedProcess && arguments.Length > 0
            ? new ProcessStartInfo(
                "setpriv", ["--reuid", Nobody.ToString(
                    null, null), "--regid", "65534", "--clear-groups", program, .. arguments]) { WorkingDirectory = _run.Path }
            : new ProcessStartInfo(program, arguments.Length > 0 ? arguments : ["600"]) { WorkingDirectory = "/" })!;
        _started.Add(process);
        return process;
    }

    private static bool IsRunning(Process process) => !process.HasExited;

    private void Shell(string commands)
    {
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", commands]) { WorkingDirectory = _run.Path })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }

    private void Write(Process keeper, Process monitor) =>
        Write(new ProcessIdentity(
            keeper.Id, ProcessHandle.StartTimeOf(keeper.Id)!.Value),
            new ProcessIdentity(monitor.Id, ProcessHandle.StartTimeOf(monitor.Id)!.Value), HostBoot.Id);

    private void Write(int keeper, int monitor, string more) =>
        Write(new ProcessIdentity(keeper, 1), new ProcessIdentity(monitor, 1), HostBoot.Id, more);

    private void Write(ProcessIdentity keeper, ProcessIdentity monitor, string boot, string more = "") =>
        PrivateFile.Write(_run.Process, System.Text.Encoding.UTF8.GetBytes(
        $"format 1\nboot {boot}\nkeeper {keeper.Id} {keeper.Start}\nmonitor {monitor.Id} {monitor.Start}\nlevel namespaces\nwalls pid,landlock:6\n{more}"));
}
