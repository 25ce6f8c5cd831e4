using System.Diagnostics;
using System.Globalization;
using WebVm.Vmm.Confinement.Keeping;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>The keeper as the service uses it, with another program in the monitor's place.</summary>
public sealed class KeeperTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-keeper").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("abort", 128 + 6)]
    [InlineData("fault", 128 + 11)]
    [InlineData("terminated", 128 + 15)]
    [InlineData("code 7", 7)]
    public void How_a_monitor_ends_is_written_down(string how, int code)
    {
        foreach (string level in (string[])["namespaces", "process"])
        {
            string run = NewRun();
            using var keeper = AttackerProgram.Keep(run, level, [], [], ["end", how]);
            keeper.WaitForExit();
            Assert.Equal(0, keeper.ExitCode);
            Assert.Equal(code, AttackerProgram.Read(run).Code);
        }
    }

    [Fact]
    public void A_run_begins_once()
    {
        string run = NewRun();
        using var first = AttackerProgram.Keep(run, "process", [], [], ["end", "code 7"]);
        first.WaitForExit();
        using var second = AttackerProgram.Keep(run, "process", [], [], ["end", "code 8"]);
        second.WaitForExit();
        Assert.Equal(75, second.ExitCode);
        Assert.Equal(7, AttackerProgram.Read(run).Code);
    }

    [Fact]
    public void What_is_printed_without_end_keeps_its_beginning_and_its_end()
    {
        string run = NewRun();
        using var keeper = AttackerProgram.Keep(run, "process", [], [], ["end", "flood"]);
        keeper.WaitForExit();
        var (code, said) = AttackerProgram.Read(run);
        Assert.Equal(0, code);
        Assert.StartsWith("line 0\n", said, StringComparison.Ordinal);
        Assert.EndsWith("the end", said, StringComparison.Ordinal);
        Assert.InRange(said.Length, BoundedLog.Part, 3 * BoundedLog.Part);
    }

    /// <summary>
    /// By its limit where the kernel counts the monitor's threads alone, by its control group elsewhere; without one, and that is said, by
    /// nothing of ours.
    /// </summary>
    [Theory]
    [InlineData("users", true, true, false, true)]
    [InlineData("process", true, true, false, true)]
    [InlineData("namespaces", false, false, false, true)]
    [InlineData("namespaces", true, false, false, false)]
    [InlineData("namespaces", true, false, true, true)]
    [InlineData("process", false, false, false, false)]
    [InlineData("process", true, false, true, true)]
    public void Threads_are_bounded_where_docs_security_says_so(string level, bool root, bool user, bool group, bool bounded)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "playing root and an account takes root");
        using var host = new AttackedHost();
        using var own = group ? new ThreadGroup() : null;
        string run = host.NewRun(root);
        string[] options = [.. user ? (string[])["--user", "2000003"] : [], .. own is null ? (string[])[] : ["--group", own.Path]];
        using var keeper = AttackerProgram.Keep(run, level, root ? [] : AttackedHost.AsAccount, options, ["end", "threads"]);
        keeper.WaitForExit();
        var (_, said) = AttackerProgram.Read(run);
        int threads = int.Parse(said, CultureInfo.InvariantCulture);
        Assert.True(bounded ? threads is > 100 and <= 512 : threads == 1000, said);
    }

    /// <summary>
    /// Each keeps a place among the signals that its user may have waiting: of one user's machines none takes all of them from the others.
    /// </summary>
    [Theory]
    [InlineData("users", true, true, true)]
    [InlineData("namespaces", false, false, true)]
    [InlineData("namespaces", true, false, true)]
    [InlineData("process", true, true, true)]
    [InlineData("process", false, false, false)]
    public void Timers_are_bounded_where_they_are_counted_for_the_machine(string level, bool root, bool user, bool bounded)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "playing root and an account takes root");
        using var host = new AttackedHost();
        string run = host.NewRun(root);
        using var keeper = AttackerProgram.Keep(
            run, level, root ? [] : AttackedHost.AsAccount, user ? ["--user", "2000004"] : [], ["end", "timers"]);
        keeper.WaitForExit();
        var (_, said) = AttackerProgram.Read(run);
        int timers = int.Parse(said, CultureInfo.InvariantCulture);
        Assert.True(bounded ? timers is > 500 and <= 1024 : timers == 2000, said);
    }

    [Fact]
    public void A_file_that_is_none_is_refused_with_its_name()
    {
        string run = NewRun();
        string fifo = Path.Combine(_folder, "fifo");
        using (var made = Process.Start("mkfifo", [fifo]))
        {
            made.WaitForExit();
        }

        using var keeper = AttackerProgram.Keep(run, "process", [], ["--file", $"kernel={fifo}"], ["end", "code 0"]);
        keeper.WaitForExit();
        var (code, said) = AttackerProgram.Read(run);
        Assert.Equal(4, code);
        Assert.Contains(fifo, said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("namespaces")]
    [InlineData("process")]
    public async Task A_monitor_outlives_its_keeper_and_ends_by_the_record(string level)
    {
        string run = NewRun();
        using var keeper = AttackerProgram.Keep(run, level, [], [], ["end", "never"]);
        string record = Path.Combine(run, "process");
        while (!File.Exists(record))
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        keeper.Kill();
        await keeper.WaitForExitAsync(TestContext.Current.CancellationToken);
        string[] monitor = [.. File.ReadLines(record).Single(line => line.StartsWith("monitor ", StringComparison.Ordinal)).Split(' ')];
        using var handle = ProcessHandle.TryOpen(
            int.Parse(monitor[1], CultureInfo.InvariantCulture), ulong.Parse(monitor[2], CultureInfo.InvariantCulture));
        Assert.NotNull(handle);
        Assert.False(handle.HasEnded);
        handle.Kill();
        while (!handle.HasEnded)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>
    /// Between keeper and monitor stands a process that waits, behind a list of its own, and holds nothing but the run's lock.
    /// </summary>
    [Fact]
    public async Task The_first_process_of_the_namespace_may_do_nothing_but_wait()
    {
        string run = NewRun();
        using var keeper = AttackerProgram.Keep(run, "namespaces", [], [], ["end", "never"]);
        string record = Path.Combine(run, "process");
        while (!File.Exists(record))
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        string[] first = [.. File.ReadLines(record).Single(line => line.StartsWith("monitor ", StringComparison.Ordinal)).Split(' ')];
        bool behind = SpinWait.SpinUntil(
            () => File.ReadAllText($"/proc/{first[1]}/status") is var status
                && status.Contains("Name:\twebvm-init\n", StringComparison.Ordinal)
            && status.Contains("Seccomp:\t2\n", StringComparison.Ordinal), TimeSpan.FromSeconds(30));
        string[] open = [.. Directory.GetFiles($"/proc/{first[1]}/fd").Select(file => new FileInfo(file).LinkTarget!)];
        using var handle = ProcessHandle.TryOpen(
            int.Parse(first[1], CultureInfo.InvariantCulture), ulong.Parse(first[2], CultureInfo.InvariantCulture));
        handle!.Kill();
        await keeper.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(behind);
        Assert.Equal([Path.Combine(run, "lock")], open);
    }

    /// <summary>
    /// Of an account's keeper the account's other processes read neither memory nor environment: what the kernel shows of it is root's.
    /// </summary>
    [Theory]
    [InlineData("namespaces")]
    [InlineData("process")]
    public async Task A_keeper_is_closed_to_others_of_its_account(string level)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "playing an account takes root");
        using var host = new AttackedHost();
        string run = host.NewRun(root: false);
        using var keeper = AttackerProgram.Keep(run, level, AttackedHost.AsAccount, [], ["end", "never"]);
        string record = Path.Combine(run, "process");
        while (!File.Exists(record))
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        string[] monitor = [.. File.ReadLines(record).Single(line => line.StartsWith("monitor ", StringComparison.Ordinal)).Split(' ')];
        string[] self = [.. File.ReadLines(record).Single(line => line.StartsWith("keeper ", StringComparison.Ordinal)).Split(' ')];
        string environment = $"/proc/{self[1]}/environ";
        // It closes itself when the monitor has been let go, a moment after the record.
        bool closed = SpinWait.SpinUntil(() => FileIdentity.Of(environment)?.Owner == 0, TimeSpan.FromSeconds(30));
        using var handle = ProcessHandle.TryOpen(
            int.Parse(monitor[1], CultureInfo.InvariantCulture), ulong.Parse(monitor[2], CultureInfo.InvariantCulture));
        handle!.Kill();
        await keeper.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(closed);
    }

    [Fact]
    public void Options_that_are_not_understood_are_named()
    {
        using var keeper = Process.Start(
            new ProcessStartInfo(AttackerProgram.Path, ["keep", "--folder", "relative"]) { RedirectStandardError = true })!;
        string complaint = keeper.StandardError.ReadToEnd();
        keeper.WaitForExit();
        Assert.Equal(2, keeper.ExitCode);
        Assert.Contains("'relative' is not an absolute path", complaint, StringComparison.Ordinal);
    }

    /// <summary>Between clone and exec there is no runtime: no start may hang, whatever its other threads did in that moment.</summary>
    [Fact(Explicit = true)]
    public void A_thousand_starts_end()
    {
        List<double> milliseconds = [];
        for (int index = 0; index < 1000; index++)
        {
            string run = NewRun();
            long start = Stopwatch.GetTimestamp();
            using var keeper = AttackerProgram.Keep(run, "namespaces", [], [], ["end", "code 0"]);
            Assert.True(keeper.WaitForExit(TimeSpan.FromSeconds(60)), $"start {index} hangs");
            milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            Assert.Equal(0, AttackerProgram.Read(run).Code);
            Directory.Delete(run, recursive: true);
        }

        milliseconds.Sort();
        TestContext.Current.TestOutputHelper?.WriteLine($"start to end: {milliseconds[500]:0.0} ms p50, {milliseconds[990]:0.0} ms p99");
    }

    private string NewRun() => Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("n"))).FullName;
}
