using System.Diagnostics;
using System.Text.Json;
using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>
/// The lists of system calls that a monitor keeps to: monitors live behind them, and no call of theirs is outside of them, as each that is
/// not in the shortest list is asked about.
/// </summary>
public sealed class InnerFilterTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-inner").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public async Task Whatever_is_done_with_a_machine_makes_no_call_that_is_not_in_its_lists(string engine)
    {
        SkipUnlessThere(engine);
        using var watch = new SystemCallWatch(kvm: true);
        using var again = new SystemCallWatch(kvm: true);
        try
        {
            await LiveAsync(engine, watch.Start, again.Start);
        }
        finally
        {
            AssertNone([.. watch.Strangers.Keys, .. again.Strangers.Keys]);
        }

        Assert.All((string[])["Vcpu", "Timers", "machine vm"], thread => Assert.Contains(thread, watch.Seen.Keys));
    }

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public Task Behind_its_lists_a_machine_lives_from_its_start_over_its_saved_state_to_its_end(string engine)
    {
        SkipUnlessThere(engine);
        return LiveAsync(engine, Plain, Plain);
    }

    [Fact]
    public async Task Linux_runs_behind_the_lists()
    {
        string spec = Spec(
            """{"engine":"soft","memory":"256M","cpus":2,"boot":{"kernel":"kernel","initrd":"initrd","commandLine":"console=ttyS0 quiet webvm.bench=poweroff"}}""");
        using var watch = new SystemCallWatch(kvm: true);
        using var monitor = new HandedMonitor(Monitors.Native, watch.Start, ["serve", "--spec", "spec"],
            ("spec", Read(spec)), ("kernel", Read(Images.File("tiny", "vmlinux"))), ("initrd", Read(Images.File("tiny", "initramfs"))),
            ("control", null));
        string errors = await monitor.Process.StandardError.ReadToEndAsync().WaitAsync(s_limit);
        await monitor.Process.WaitForExitAsync().WaitAsync(s_limit);
        Assert.True(monitor.Process.ExitCode == 0, $"{monitor.Process.ExitCode}: {errors}");
        AssertNone([.. watch.Strangers.Keys]);
    }

    /// <summary>
    /// A display is made, put into its slot and taken out again before it is refused: viewers look for theirs at the start.
    /// </summary>
    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public async Task A_device_is_made_and_taken_away_while_a_machine_runs_with_no_call_that_is_not_in_its_lists(string engine)
    {
        SkipUnlessThere(engine);
        var machine = new MachineSpec
        {
            Engine = Enum.Parse<EngineChoice>(engine, ignoreCase: true),
            Memory = 16 << 20,
            Boot = new BootSpec { Kernel = "kernel" },
            Devices = [.. Profile.Pc, new DeviceSpec("port", "pcie.root-port")],
        };
        string kernel = MultibootSample.Assemble(MultibootSample.Echo, _folder);
        string spec = Spec(MachineSpecJson.Write(machine).ToJsonString());
        (string, FileDescriptor?)[] device = engine == "kvm" ? [("kvm", SparseFile.Open("/dev/kvm", write: true))] : [];
        using var watch = new SystemCallWatch(kvm: engine == "kvm");
        (string, FileDescriptor?)[] handed = [("spec", Read(spec)), ("kernel", Read(kernel)), ("control", null), .. device];
        using var monitor = new HandedMonitor(Monitors.Native, watch.Start, ["serve", "--spec", "spec"], handed);
        using var client = await ConnectAsync(monitor);
        await client.SubscribeSerialAsync(0).WaitAsync(s_limit);
        await Echo.CheckAsync(client, "before").WaitAsync(s_limit);
        var display = JsonElement.Parse("""{"id":"display","kind":"display.bochs"}""");
        for (int round = 0; round < 2; round++)
        {
            var refused = await Assert.ThrowsAsync<ControlException>(() => client.AddDeviceAsync(display).WaitAsync(s_limit));
            Assert.StartsWith("/device/kind: a display.bochs", refused.Message, StringComparison.Ordinal);
        }

        await Echo.CheckAsync(client, "after").WaitAsync(s_limit);
        await client.StopAsync().WaitAsync(s_limit);
        await EndAsync(monitor, 0);
        AssertNone([.. watch.Strangers.Keys]);
    }

    [Fact]
    public async Task A_call_that_is_missing_in_a_list_is_named_with_its_thread()
    {
        using var watch = new SystemCallWatch(kvm: false, without: SystemCall.SYS_timerfd_create);
        using var other = new SystemCallWatch(kvm: false, without: SystemCall.SYS_pread64);
        await LiveAsync("soft", watch.Start, other.Start, kvm: false);
        Assert.Contains(watch.Strangers.Keys, call => call.Contains(": timerfd_create(0x1, ", StringComparison.Ordinal));
        Assert.Contains(other.Strangers.Keys, call => call.Contains(": pread64(", StringComparison.Ordinal));
    }

    /// <summary>All that clients and guests make a monitor do, and a second life from the state that is saved.</summary>
    private async Task LiveAsync(
        string engine, Func<ProcessStartInfo, Process> first, Func<ProcessStartInfo, Process> second, bool kvm = true)
    {
        string kernel = MultibootSample.Assemble(MultibootSample.Echo, _folder);
        string spec = Spec(
            $$$"""{"engine":"{{{engine}}}","memory":"16M","cpus":2,"display":{"width":640,"height":480},"boot":{"kernel":"kernel"}}""");
        string state = Path.Combine(_folder, "saved");
        (string, FileDescriptor?)[] device = kvm && File.Exists("/dev/kvm") ? [("kvm", SparseFile.Open("/dev/kvm", write: true))] : [];
        using (var monitor = new HandedMonitor(
            Monitors.Native, first, ["serve", "--spec", "spec"],
            [("spec", Read(spec)), ("kernel", Read(kernel)), ("control", null), .. device]))
        using (var client = await ConnectAsync(monitor))
        {
            await client.SubscribeSerialAsync(0).WaitAsync(s_limit);
            await Echo.CheckAsync(client, "first").WaitAsync(s_limit);
            await client.PauseAsync().WaitAsync(s_limit);
            await client.ResumeAsync().WaitAsync(s_limit);
            await client.MetricsAsync().WaitAsync(s_limit);
            await client.EnlightenmentsAsync().WaitAsync(s_limit);
            await client.SendKeysAsync("a", "ctrl-alt-delete").WaitAsync(s_limit);
            await client.SendPointerAsync(new PointerParameters(1, 1, 0, 1)).WaitAsync(s_limit);
            await client.PreferDisplayAsync(800, 600).WaitAsync(s_limit);
            (await client.AttachDisplayAsync().WaitAsync(s_limit)).Dispose();
            await Echo.CheckAsync(client, "while looked at").WaitAsync(s_limit);
            await client.DetachDisplayAsync().WaitAsync(s_limit);
            try
            {
                await client.ScreenshotAsync(64).WaitAsync(s_limit);
            }
            catch (ControlException off) when (off.Code == ControlErrorCode.InvalidState)
            {
                // This guest draws nothing.
            }

            await client.ResetAsync().WaitAsync(s_limit);
            await Echo.CheckAsync(client, "after a reset").WaitAsync(s_limit);
            await client.SaveAsync(state).WaitAsync(s_limit);
            using (var other = await monitor.ConnectAsync().WaitAsync(s_limit))
            {
                await other.PressPowerButtonAsync().WaitAsync(s_limit);
            }

            // The signal ends it, unless the guest has heeded its power button before.
            using var term = Process.Start("kill", ["-TERM", $"{monitor.Process.Id}"]);
            await EndAsync(monitor, 0, 128 + 15);
        }

        var files = Directory.EnumerateFiles(state).Select(file => ($"state/{Path.GetFileName(file)}", (FileDescriptor?)Read(file)));
        device = device.Length > 0 ? [("kvm", SparseFile.Open("/dev/kvm", write: true))] : [];
        using (var monitor = new HandedMonitor(
            Monitors.Native, second, ["serve", "--restore", "state"], [.. files, ("kernel", Read(kernel)), ("control", null), .. device]))
        using (var client = await ConnectAsync(monitor))
        {
            await Echo.CheckAsync(client, "restored").WaitAsync(s_limit);
            await client.StopAsync().WaitAsync(s_limit);
            await EndAsync(monitor, 0);
        }
    }

    private static async Task<ControlClient> ConnectAsync(HandedMonitor monitor)
    {
        try
        {
            return await monitor.ConnectAsync().WaitAsync(s_limit);
        }
        catch (IOException gone)
        {
            monitor.Process.Kill();
            throw new IOException($"{gone.Message} The monitor said: {await monitor.Process.StandardError.ReadToEndAsync()}", gone);
        }
    }

    private static async Task EndAsync(HandedMonitor monitor, params int[] codes)
    {
        string errors = await monitor.Process.StandardError.ReadToEndAsync().WaitAsync(s_limit);
        await monitor.Process.WaitForExitAsync().WaitAsync(s_limit);
        Assert.True(codes.Contains(monitor.Process.ExitCode), $"{monitor.Process.ExitCode}: {errors}");
    }

    private static Process Plain(ProcessStartInfo information)
    {
        information.Environment.Clear();
        return Process.Start(information)!;
    }

    private static void AssertNone(IReadOnlyCollection<string> strangers) =>
        Assert.True(strangers.Count == 0, string.Join(Environment.NewLine, strangers.Order()));

    private static void SkipUnlessThere(string engine) =>
        Assert.SkipWhen(engine == "kvm" && !File.Exists("/dev/kvm"), "This host has no KVM.");

    private static FileDescriptor Read(string path) => SparseFile.Open(path, write: false);

    private string Spec(string json)
    {
        string path = Path.Combine(_folder, "spec.json");
        File.WriteAllText(path, json);
        return path;
    }
}
