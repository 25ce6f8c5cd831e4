using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

public sealed class LifecycleTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task A_started_machine_has_its_firmware_loaded_and_every_vcpu_running()
    {
        using var scripted = new ScriptedMachine(cpus: 4);
        await scripted.Machine.Start().WaitAsync(s_limit);
        Assert.Equal(MachineState.Running, scripted.Machine.State);
        Assert.Equal(1, scripted.PowerOns);
        Assert.Equal(ScriptedMachine.EntryPoint, scripted.Engine.Cpus[0].State.Rip);
        Assert.Equal(4, scripted.Engine.Cpus.Count);
        Assert.True(SpinWait.SpinUntil(() => scripted.Engine.Cpus.All(cpu => cpu.Inside), s_limit));
    }

    [Fact]
    public async Task A_paused_machine_runs_no_guest_code_and_its_time_stands_still()
    {
        using var scripted = new ScriptedMachine(cpus: 2);
        await scripted.Machine.Start().WaitAsync(s_limit);
        await scripted.Machine.Pause().WaitAsync(s_limit);
        Assert.All(scripted.Engine.Cpus, cpu => Assert.False(cpu.Inside));
        long time = scripted.Machine.Time;
        Assert.Equal(["reset", "start", "stop"], scripted.Device.Notes);
        Assert.Equal(time, scripted.Machine.Time);
        await scripted.Machine.Resume().WaitAsync(s_limit);
        Assert.True(SpinWait.SpinUntil(() => scripted.Machine.Time > time, s_limit));
        Assert.Equal("start", scripted.Device.Notes[^1]);
    }

    [Fact]
    public async Task Power_off_by_the_guest_ends_with_0()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(_ =>
        {
            scripted.Signals.PowerOff();
            return VcpuExit.Kicked;
        });
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal((ExitKind.PowerOff, 0), (exit.Kind, exit.Code));
        // Devices, which end later, may still reach for it.
        Assert.All(scripted.Engine.Cpus, cpu => Assert.False(cpu.Disposed));
        Assert.Equal(MachineState.Stopped, scripted.Machine.State);
    }

    [Theory]
    [InlineData(0x10, 0x21)]
    [InlineData(0xff, 0xff)]
    public async Task Debug_exit_ends_with_the_code_of_isa_debug_exit(int value, int code)
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Signals.DebugExit((value << 1) | 1);
        Assert.Equal(code, (await scripted.Machine.Completion.WaitAsync(s_limit)).Code);
    }

    [Fact]
    public async Task A_triple_fault_is_a_crash_that_names_the_vcpu_and_where()
    {
        using var scripted = new ScriptedMachine(cpus: 2);
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[1].Do(cpu =>
        {
            cpu.State.Idtr.Limit = 0xfff;
            cpu.State.Rip = 0xdead;
            return VcpuExit.Shutdown;
        });
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal((ExitKind.Crash, 6), (exit.Kind, exit.Code));
        Assert.Contains("vCPU 1", exit.Message, StringComparison.Ordinal);
        Assert.Contains("dead", exit.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_triple_fault_with_an_empty_interrupt_table_resets()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(_ => VcpuExit.Shutdown);
        await scripted.Until(MachineEventKind.Reset);
        Assert.Equal(MachineState.Running, scripted.Machine.State);
        Assert.Equal(2, scripted.PowerOns);
    }

    [Fact]
    public async Task A_reset_by_the_guest_loads_firmware_again_and_goes_on()
    {
        using var scripted = new ScriptedMachine(cpus: 2);
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(cpu =>
        {
            cpu.State.Rip = 0x9999;
            // The guest pulls every lever it knows; one reset follows, not four.
            for (int i = 0; i < 4; i++)
            {
                scripted.Signals.Reset(ResetKind.ResetControl);
            }

            return VcpuExit.Kicked;
        });
        await scripted.Until(MachineEventKind.Reset);
        await scripted.Machine.Pause().WaitAsync(s_limit);
        Assert.Equal(2, scripted.PowerOns);
        Assert.Equal(1, scripted.Engine.Resets);
        Assert.Equal(ScriptedMachine.EntryPoint, scripted.Engine.Cpus[0].State.Rip);
        Assert.Equal(["reset", "start", "stop", "reset", "start", "stop"], scripted.Device.Notes);
    }

    [Fact]
    public async Task A_failure_of_the_engine_ends_with_4_and_says_why()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(cpu =>
        {
            cpu.Failure = "KVM_RUN: out of luck";
            return VcpuExit.HostFailure;
        });
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal((ExitKind.HostFailure, 4), (exit.Kind, exit.Code));
        Assert.Contains("out of luck", exit.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_in_the_engine_ends_the_machine_and_not_the_process()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(_ => throw new InvalidOperationException("a defect"));
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal(4, exit.Code);
        Assert.Contains("a defect", exit.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_panic_ends_with_6_unless_a_crash_kernel_takes_over()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.Signals.GuestPanicked(PanicKind.CrashLoaded);
        await scripted.Until(MachineEventKind.Panic);
        Assert.Equal(MachineState.Running, scripted.Machine.State);
        scripted.Signals.GuestPanicked(PanicKind.Panicked);
        Assert.Equal(6, (await scripted.Machine.Completion.WaitAsync(s_limit)).Code);
    }

    [Fact]
    public async Task A_guest_that_tells_of_its_crash_again_and_again_is_heard_once_until_it_is_reset()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        for (int era = 1; era <= 2; era++)
        {
            for (int i = 0; i < 1000; i++)
            {
                scripted.Signals.GuestPanicked(PanicKind.CrashLoaded);
            }

            lock (scripted.Events)
            {
                Assert.Equal(era, scripted.Events.Count(happened => happened.Kind == MachineEventKind.Panic));
            }

            await scripted.Machine.Reset().WaitAsync(s_limit);
        }
    }

    [Fact]
    public async Task A_guest_that_does_nothing_but_reset_itself_does_it_at_leisure()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        long start = Environment.TickCount64;
        for (int reset = 1; reset <= 4; reset++)
        {
            scripted.Signals.Reset(ResetKind.ResetControl);
            while (scripted.PowerOns < reset + 1)
            {
                Assert.True(Environment.TickCount64 - start < s_limit.TotalMilliseconds);
                await Task.Delay(1);
            }
        }

        Assert.True(Environment.TickCount64 - start >= 130);
    }

    [Fact]
    public async Task What_the_state_does_not_allow_is_refused_by_name()
    {
        using var scripted = new ScriptedMachine();
        await Assert.ThrowsAsync<MachineStateException>(() => scripted.Machine.Pause());
        await scripted.Machine.Start().WaitAsync(s_limit);
        await Assert.ThrowsAsync<MachineStateException>(() => scripted.Machine.Start());
        await scripted.Machine.PressPowerButton().WaitAsync(s_limit);
        Assert.Equal(1, scripted.PowerButtonPresses);
        await scripted.Machine.Stop().WaitAsync(s_limit);
        var refused = await Assert.ThrowsAsync<MachineStateException>(() => scripted.Machine.Resume());
        Assert.Contains("stopped", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pausing_and_resuming_in_quick_turn_never_loses_a_vcpu()
    {
        using var scripted = new ScriptedMachine(cpus: 8);
        await scripted.Machine.Start().WaitAsync(s_limit);
        for (int turn = 0; turn < 200; turn++)
        {
            await scripted.Machine.Pause().WaitAsync(s_limit);
            await scripted.Machine.Resume().WaitAsync(s_limit);
        }

        Assert.True(SpinWait.SpinUntil(() => scripted.Engine.Cpus.All(cpu => cpu.Inside), s_limit));
    }

    [Fact]
    public async Task A_vcpu_that_does_not_leave_the_guest_keeps_its_memory_and_the_end_stays_what_it_was()
    {
        using var release = new ManualResetEventSlim();
        var scripted = new ScriptedMachine(cpus: 2);
        await scripted.Machine.Start().WaitAsync(s_limit);
        using var inside = new ManualResetEventSlim();
        scripted.Engine.Cpus[1].Do(_ =>
        {
            inside.Set();
            release.Wait();
            return VcpuExit.Kicked;
        });
        Assert.True(inside.Wait(s_limit));
        scripted.Signals.PowerOff();
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal((ExitKind.PowerOff, 0), (exit.Kind, exit.Code));
        Assert.Contains("vCPU 1 did not leave guest code", exit.Message, StringComparison.Ordinal);
        long time = scripted.Machine.Time;
        scripted.Dispose();
        Assert.All(scripted.Engine.Cpus, cpu => Assert.False(cpu.Disposed));
        Assert.True(scripted.Machine.Platform.Memory.TryWrite(new GuestPhysicalAddress(0), 1UL));
        Assert.Equal(time, scripted.Machine.Time);
        release.Set();
    }

    [Fact]
    public async Task A_reset_that_fails_ends_the_machine_and_tells_who_asked()
    {
        using var scripted = new ScriptedMachine();
        await scripted.Machine.Start().WaitAsync(s_limit);
        scripted.PowerOnFailure = new IOException("the kernel is gone");
        var failure = await Assert.ThrowsAsync<IOException>(() => scripted.Machine.Reset().WaitAsync(s_limit));
        Assert.Equal("the kernel is gone", failure.Message);
        var exit = await scripted.Machine.Completion.WaitAsync(s_limit);
        Assert.Equal((ExitKind.HostFailure, 4, "the kernel is gone"), (exit.Kind, exit.Code, exit.Message));
    }
}
