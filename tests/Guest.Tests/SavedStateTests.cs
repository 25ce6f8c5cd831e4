using System.Text.Json.Nodes;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class SavedStateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-saved").FullName;

    private string Saved => Path.Combine(_folder, "state");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_shell_session_goes_on_after_restore_with_its_variables_processes_and_screen()
    {
        var spec = Spec(
            cpus: 2) with { Display = new DisplaySpec(
                1024, 768), Boot = Images.Linux("tiny", "console=tty0 console=ttyS0 quiet", "vmlinuz") };
        IReadOnlyList<string> screen;
        await using (var guest = await GuestSession.Start(spec))
        {
            guest.WaitForShell();
            Prepare(guest);
            await guest.Machine.Pause();
            screen = ConsoleText.Read(guest.Machine.Framebuffer!.Capture()!);
            await StateSaver.Save(guest.Machine, Saved);
            await guest.Machine.Resume();
            Assert.Equal("still here", guest.Run("echo still here"));
        }

        await using var restored = await GuestSession.Restore(Saved, EngineChoice.Soft);
        Assert.Equal(
            screen.Where(line => line.Contains("ready", StringComparison.Ordinal)),
            ConsoleText.Read(restored.Machine.Framebuffer!.Capture()!).Where(line => line.Contains("ready", StringComparison.Ordinal)));
        Check(restored);
        Assert.Equal("2", restored.Run("nproc"));
        restored.Type("poweroff -f\n");
        Assert.Equal(ExitKind.PowerOff, (await restored.WaitForExit()).Kind);
    }

    /// <summary>
    /// Debian's kernel reads its real time clock at boot alone: what <c>date</c> says after that is what its clock source tells it.
    /// </summary>
    [Theory]
    [InlineData(ClockPolicy.CatchUp, "tsc")]
    [InlineData(ClockPolicy.CatchUp, "kvm-clock")]
    [InlineData(ClockPolicy.Stopped, "tsc")]
    public async Task The_guests_date_is_right_or_behind_after_restore_as_chosen(ClockPolicy choice, string source)
    {
        var away = TimeSpan.FromDays(30);
        double before;
        await using (var guest = await GuestSession.Start(Spec(cpus: 2)))
        {
            guest.WaitForShell();
            Assert.Equal(
                source, guest.Run(
                    $"echo {source} >/sys/devices/system/clocksource/clocksource0/current_clocksource; cat /sys/devices/system/clocksource/clocksource0/current_clocksource"));
            before = Uptime(guest);
            await StateSaver.Save(guest.Machine, Saved);
        }

        // As if the state had been saved earlier.
        SavedJson.Change(
            Saved, sections => sections.Body("clock")["stoppedAt"] = (DateTimeOffset)sections.Body("clock")["stoppedAt"]! - away);
        await using var restored = await GuestSession.Restore(Saved, EngineChoice.Soft, clock: choice);
        // Its date was the host's when it was saved, which is made out to be long ago: what it has missed since comes on top.
        double caughtUp = (choice == ClockPolicy.CatchUp ? away : TimeSpan.Zero).TotalSeconds;
        double ahead = long.Parse(
            restored.Run("date +%s"), System.Globalization.CultureInfo.InvariantCulture) - DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        Assert.InRange(ahead - caughtUp, choice == ClockPolicy.CatchUp ? -3 : -300, 3);
        Assert.InRange(Uptime(restored) - before - caughtUp, 0, 300);
        // The real time clock is right in any case, time runs on, and nobody was frightened.
        long hardware = long.Parse(
            restored.Run("date -u -d \"$(cat /sys/class/rtc/rtc0/date) $(cat /sys/class/rtc/rtc0/time)\" +%s"),
            System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(hardware - DateTimeOffset.UtcNow.ToUnixTimeSeconds(), -3, 3);
        double first = Uptime(restored);
        restored.Run("sleep 1");
        Assert.InRange(Uptime(restored) - first, 1, 60);
        Assert.Equal(source, restored.Run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"));
        Assert.Equal("", restored.Run("dmesg | grep -iE 'lockup|unstable|hung|watchdog: BUG'"));
        // A grace period of RCU that begins on one CPU while another has heard of the stop, and not yet of the time, is taken for one that
        // stalled: once.
        Assert.InRange(int.Parse(restored.Run("dmesg | grep -c 'rcu: INFO'"), System.Globalization.CultureInfo.InvariantCulture), 0, 1);
    }

    [Fact]
    public async Task A_save_that_fails_leaves_the_guest_running_and_nothing_behind()
    {
        await using var guest = await GuestSession.Start(Spec(cpus: 1));
        guest.WaitForShell();
        string taken = Path.Combine(_folder, "taken");
        Directory.CreateDirectory(taken);
        await File.WriteAllTextAsync(Path.Combine(taken, "letter"), "mine");
        await Assert.ThrowsAsync<IOException>(() => StateSaver.Save(guest.Machine, taken));
        await Assert.ThrowsAnyAsync<IOException>(() => StateSaver.Save(guest.Machine, "/proc/nowhere/state"));
        Assert.Equal(["taken"], Directory.EnumerateFileSystemEntries(_folder).Select(Path.GetFileName));
        Assert.Equal("mine", await File.ReadAllTextAsync(Path.Combine(taken, "letter")));
        Assert.Equal("alive", guest.Run("echo alive"));
    }

    [Fact]
    public async Task A_state_whose_apic_ids_are_not_those_of_its_spec_is_refused()
    {
        await using (var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = 3,
            Memory = 16UL << 20,
            Numa = [new() { Cpus = new(0b001), Memory = 8UL << 20 }, new() { Cpus = new(0b110), Memory = 8UL << 20 }],
            Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) },
        }))
        {
            await StateSaver.Save(guest.Machine, Saved);
        }

        (await StateRestorer.Restore(Saved, EngineChoice.Soft)).Dispose();
        SavedJson.Change(Saved, sections => sections.Body("machine")["spec"]!["numa"] = null);
        var refused = await Assert.ThrowsAsync<InvalidDataException>(() => StateRestorer.Restore(Saved, EngineChoice.Soft));
        Assert.Contains("vCPU 1 has APIC id 2", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_state_is_refused_by_a_message()
    {
        await using (var guest = await GuestSession.Start(Spec(cpus: 1)))
        {
            guest.WaitForShell();
            await StateSaver.Save(guest.Machine, Saved);
        }

        string path = Path.Combine(Saved, "machine.json");
        string sound = await File.ReadAllTextAsync(path);
        const int seed = 4711;
        var random = new Random(seed);
        for (int round = 0; round < 60; round++)
        {
            char[] damaged = sound.ToCharArray();
            for (int change = 0; change < 3; change++)
            {
                damaged[random.Next(damaged.Length)] = (char)random.Next(' ', '~');
            }

            await File.WriteAllTextAsync(path, round % 5 == 0 ? sound[..random.Next(sound.Length)] : new string(damaged));
            try
            {
                using var machine = await StateRestorer.Restore(Saved, EngineChoice.Soft);
            }
            catch (InvalidDataException refused)
            {
                Assert.NotEmpty(refused.Message);
            }
            catch (Exception other)
            {
                Assert.Fail($"seed {seed}, round {round}: {other}");
            }
        }

        await File.WriteAllTextAsync(path, sound);
        File.Delete(Path.Combine(Saved, "ram0.memory"));
        await Assert.ThrowsAsync<InvalidDataException>(() => StateRestorer.Restore(Saved, EngineChoice.Soft));
    }

    [Fact(Explicit = true)]
    [Trait("category", "kvm")]
    public async Task A_shell_saved_on_soft_goes_on_under_kvm_and_back_again()
    {
        KvmTests.SkipUnlessProgramsRun();
        await using (var guest = await GuestSession.Start(Spec(cpus: 1)))
        {
            guest.WaitForShell();
            Prepare(guest);
            await StateSaver.Save(guest.Machine, Saved);
        }

        await using (var onKvm = await GuestSession.Restore(Saved, EngineChoice.Kvm, seconds: 600))
        {
            Assert.Equal("kvm", onKvm.Machine.EngineName);
            Check(onKvm);
            onKvm.Run("where=kvm");
            await StateSaver.Save(onKvm.Machine, Saved);
        }

        await using var back = await GuestSession.Restore(Saved, EngineChoice.Soft);
        Check(back);
        Assert.Equal("kvm", back.Run("echo $where"));
    }

    [Theory]
    [InlineData(CpuVendor.Intel)]
    [InlineData(CpuVendor.Amd)]
    public async Task A_state_goes_on_with_the_processor_that_it_knows_or_is_refused_by_name(CpuVendor vendor)
    {
        var cpu = new CpuSpec { Model = CpuModel.X86_64V2, Vendor = vendor,
            Features = new Dictionary<string, bool> { ["popcnt"] = false, ["smep"] = true } };
        await using (var guest = await GuestSession.Start(Spinning() with { Cpu = cpu }))
        {
            await StateSaver.Save(guest.Machine, Saved);
        }

        string path = Path.Combine(Saved, "machine.json");
        string sound = await File.ReadAllTextAsync(path);
        var saved = SavedJson.Sections(Saved).Body("cpu");
        Assert.Equal("x86-64-v2", (string)saved["model"]!);
        Assert.Contains("smep", saved["features"]!.AsArray().Select(name => (string)name!));
        Assert.Equal(["x86-64-v2", vendor.ToString(), saved["features"]!.ToJsonString()], await RestoredProcessor());

        // The state's word counts, not what the spec would come to on this host and in this build.
        await Change(state => state.Body("machine")["spec"]!["cpu"] = null);
        Assert.Equal(["x86-64-v2", vendor.ToString(), saved["features"]!.ToJsonString()], await RestoredProcessor());

        await Change(state => state.Body("cpu")["features"]!.AsArray().Add("avx512f"));
        Assert.Contains("avx512f", (await Assert.ThrowsAsync<InvalidDataException>(RestoredProcessor)).Message, StringComparison.Ordinal);
        await Change(state => state.Body("cpu")["features"]!.AsArray().Add("telepathy"));
        Assert.Contains("telepathy", (await Assert.ThrowsAsync<InvalidDataException>(RestoredProcessor)).Message, StringComparison.Ordinal);
        await Change(state => state.Body("cpu")["model"] = "z80");
        Assert.Contains("z80", (await Assert.ThrowsAsync<InvalidDataException>(RestoredProcessor)).Message, StringComparison.Ordinal);

        async Task Change(Action<JsonArray> change)
        {
            await File.WriteAllTextAsync(path, sound);
            SavedJson.Change(Saved, change);
        }
    }

    [Fact]
    public async Task A_state_of_an_earlier_build_goes_on_as_Intels_on_soft_which_was_its_only_processor()
    {
        await using (var guest = await GuestSession.Start(
            Spinning() with { Cpu = new CpuSpec { Features = new Dictionary<string, bool> { ["la57"] = true } } }))
        {
            await StateSaver.Save(guest.Machine, Saved);
        }

        SavedJson.Change(Saved, sections => Assert.True(sections.Remove(sections.Section("cpu"))));
        string[] processor = await RestoredProcessor();
        Assert.Equal(["host", "Intel"], processor[..2]);
        Assert.Contains("arch_capabilities", processor[2], StringComparison.Ordinal);
        Assert.Contains("la57", processor[2], StringComparison.Ordinal);
        Assert.DoesNotContain("zero_fcs_fds", processor[2], StringComparison.Ordinal);
    }

    private async Task<string[]> RestoredProcessor()
    {
        using var machine = await StateRestorer.Restore(Saved, EngineChoice.Soft);
        var processor = machine.Platform.Engine.Processor;
        return [processor.Model, processor.Vendor.ToString(),
            new JsonArray([.. processor.Features.Select(name => JsonValue.Create(name))]).ToJsonString()];
    }

    private MachineSpec Spinning() => new()
    {
        Engine = EngineChoice.Soft,
        Memory = 16UL << 20,
        Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) },
    };

    private static MachineSpec Spec(int cpus) => new()
    {
        Engine = EngineChoice.Soft,
        Cpus = cpus,
        Memory = 256UL << 20,
        Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
    };

    private static void Prepare(GuestSession guest)
    {
        guest.Run("answer=42; cd /tmp; echo kept > file");
        guest.Run("(i=0; while sleep 0.2; do i=$((i+1)); echo $i > /tmp/next; mv /tmp/next /tmp/counter; done) & true");
    }

    private static void Check(GuestSession guest)
    {
        Assert.Equal("42", guest.Run("echo $answer"));
        Assert.Equal("/tmp kept", guest.Run("echo $(pwd) $(cat file)"));
        int first = int.Parse(guest.Run("sleep 0.5; cat counter"), System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(
            int.Parse(guest.Run("sleep 2; cat counter"), System.Globalization.CultureInfo.InvariantCulture), first + 1, first + 10000);
    }

    private static double Uptime(GuestSession guest) =>
        double.Parse(guest.Run("cut -d' ' -f1 /proc/uptime"), System.Globalization.CultureInfo.InvariantCulture);
}
