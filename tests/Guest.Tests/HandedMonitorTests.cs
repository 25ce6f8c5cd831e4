using WebVm.Vmm.Control;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>A monitor needs no name: descriptors do for its spec, its kernel, its control socket and its saved state.</summary>
public sealed class HandedMonitorTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-handed-test").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_monitor_runs_saves_and_goes_on_with_nothing_but_what_it_was_handed()
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Echo, _folder);
        string spec = Path.Combine(_folder, "spec.json");
        await File.WriteAllTextAsync(spec, """{"engine":"soft","memory":"16M","boot":{"kernel":"kernel"}}""");
        string state = Path.Combine(_folder, "saved");
        using (var monitor = new HandedMonitor(
            ["serve", "--spec", "spec"], ("spec", Read(spec)), ("kernel", Read(kernel)), ("control", null)))
        using (var client = await monitor.ConnectAsync().WaitAsync(s_limit))
        {
            await Echo.CheckAsync(client, "before");
            // A reset reads the kernel once more.
            await client.ResetAsync().WaitAsync(s_limit);
            await Echo.CheckAsync(client, "after a reset");
            await client.SaveAsync(state).WaitAsync(s_limit);
            await Echo.CheckAsync(client, "after a save");
            await client.StopAsync().WaitAsync(s_limit);
            await monitor.Process.WaitForExitAsync().WaitAsync(s_limit);
            Assert.Equal(0, monitor.Process.ExitCode);
        }

        var files = Directory.EnumerateFiles(state).Select(file => ($"state/{Path.GetFileName(file)}", (FileDescriptor?)Read(file)));
        using (var monitor = new HandedMonitor(["serve", "--restore", "state"], [.. files, ("kernel", Read(kernel)), ("control", null)]))
        using (var client = await monitor.ConnectAsync().WaitAsync(s_limit))
        {
            await Echo.CheckAsync(client, "restored");
        }
    }

    /// <summary>Its time stamp counter runs as KVM's all the same: the guest may go on there.</summary>
    [Theory]
    [InlineData("soft")]
    [InlineData("auto")]
    [InlineData("kvm")]
    public async Task A_monitor_keeps_of_kvm_what_its_engine_runs_on(string engine)
    {
        Assert.SkipUnless(
            File.Exists("/dev/kvm") && Environment.IsPrivilegedProcess, "Root looks into a monitor that was handed /dev/kvm.");
        string kernel = MultibootSample.Assemble(MultibootSample.Echo, _folder);
        string spec = Path.Combine(_folder, "spec.json");
        await File.WriteAllTextAsync(spec, $$$"""{"engine":"{{{engine}}}","memory":"16M","boot":{"kernel":"kernel"}}""");
        using var monitor = new HandedMonitor(["serve", "--engine", engine, "--spec", "spec"],
            ("spec", Read(spec)), ("kernel", Read(kernel)), ("control", null), ("kvm", SparseFile.Open("/dev/kvm", write: true)));
        using var client = await monitor.ConnectAsync().WaitAsync(s_limit);
        bool runsOnKvm = (await client.StatusAsync().WaitAsync(s_limit)).Engine == "kvm";
        Assert.Equal(
            runsOnKvm, Directory.GetFiles($"/proc/{monitor.Process.Id}/fd")
                .Any(file => new FileInfo(file).LinkTarget?.Contains("kvm", StringComparison.Ordinal) == true));
        Assert.Equal(engine == "auto" ? HostProbe.ChooseEngine().Engine == "kvm" : engine == "kvm", runsOnKvm);

        string state = Path.Combine(_folder, "saved");
        await client.SaveAsync(state).WaitAsync(s_limit);
        Assert.Contains(
            $"\"tscKilohertz\":\"0x{HostKvm.TscKilohertz:x}\"", await File.ReadAllTextAsync(Path.Combine(state, "machine.json")),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--kernel", "kernel")]
    [InlineData("--kernel", "/proc/version")]
    [InlineData("--spec", "/proc/version")]
    [InlineData("--restore", "/proc")]
    public async Task A_monitor_that_is_asked_for_what_it_was_not_handed_says_so_and_opens_nothing(string option, string value)
    {
        using var monitor = new HandedMonitor(["serve", "--engine", "soft", option, value], ("control", null));
        string errors = await monitor.Process.StandardError.ReadToEndAsync().WaitAsync(s_limit);
        await monitor.Process.WaitForExitAsync().WaitAsync(s_limit);
        Assert.True(monitor.Process.ExitCode == 2, errors);
        Assert.Contains("was not handed to this process", errors, StringComparison.Ordinal);
    }

    private static FileDescriptor Read(string path) => SparseFile.Open(path, write: false);
}
