using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

/// <summary>Transitions that take time: devices that do not come to rest, saves that fail, an end in the middle.</summary>
public sealed class TransitionTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(100);

    private readonly List<string> _log = [];
    private readonly DrainingDevice _disk;
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-transitions").FullName;

    public TransitionTests() => _disk = new DrainingDevice("disk", _log);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("pause")]
    [InlineData("reset")]
    [InlineData("save")]
    public async Task What_a_busy_device_holds_up_fails_by_name_and_the_machine_runs_on(string what)
    {
        using var scripted = new ScriptedMachine(cpus: 2, deadline: s_short, more: _disk);
        await scripted.Machine.Start().WaitAsync(s_limit);
        _disk.Hold();
        var refused = await Assert.ThrowsAsync<DevicesBusyException>(() => Do(scripted.Machine, what).WaitAsync(s_limit));
        Assert.Equal("device 'disk' did not come to rest within 0.1 s; the machine runs on", refused.Message);
        Assert.Equal(MachineState.Running, scripted.Machine.State);
        Assert.True(SpinWait.SpinUntil(() => scripted.Engine.Cpus.All(cpu => cpu.Inside), s_limit));
        Assert.All(scripted.Machine.Platform.Devices.Nodes, node => Assert.True(node.IsStarted && node.Failure is null));
        Assert.True(scripted.Machine.Platform.Clock.Running);
        Assert.Equal(1, scripted.PowerOns);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));

        _disk.Finish();
        await Do(scripted.Machine, what).WaitAsync(s_limit);
    }

    [Fact]
    public async Task While_devices_come_to_rest_questions_are_answered()
    {
        using var scripted = new ScriptedMachine(more: _disk);
        await scripted.Machine.Start().WaitAsync(s_limit);
        _disk.Hold();
        var pause = scripted.Machine.Pause();
        Assert.NotNull(await scripted.Machine.Enlightenments().WaitAsync(s_limit));
        Assert.False(pause.IsCompleted);
        _disk.Finish();
        await pause.WaitAsync(s_limit);
        Assert.Equal(MachineState.Paused, scripted.Machine.State);
    }

    [Fact]
    public async Task An_end_does_not_wait_for_a_pause_that_waits_for_a_device()
    {
        using var scripted = new ScriptedMachine(deadline: TimeSpan.FromMinutes(1), more: _disk);
        await scripted.Machine.Start().WaitAsync(s_limit);
        _disk.Hold();
        var pause = scripted.Machine.Pause();
        var queued = scripted.Machine.Resume();
        await WaitForLog("disk drain");
        scripted.Signals.PowerOff();
        await Assert.ThrowsAsync<MachineStateException>(() => pause.WaitAsync(s_limit));
        _disk.Finish();
        Assert.Equal(ExitKind.PowerOff, (await scripted.Machine.Completion.WaitAsync(s_limit)).Kind);
        await Assert.ThrowsAsync<MachineStateException>(() => queued.WaitAsync(s_limit));
    }

    [Fact]
    public async Task At_the_end_a_device_that_does_not_come_to_rest_is_given_up()
    {
        var stubborn = new DrainingDevice("stubborn", _log) { Stubborn = true };
        using var scripted = new ScriptedMachine(deadline: s_short, more: stubborn);
        await scripted.Machine.Start().WaitAsync(s_limit);
        stubborn.Hold();
        await scripted.Machine.Stop().WaitAsync(s_limit);
        Assert.Equal(MachineState.Stopped, scripted.Machine.State);
        Assert.Contains(
            scripted.Events, happened => happened.Kind == MachineEventKind.DeviceFailed
                && happened.Text.Contains("'stubborn'", StringComparison.Ordinal));
        Assert.Equal(DeviceLifecycle.Off, scripted.Machine.Platform.Devices.Find("noting")!.State);
    }

    [Fact]
    public async Task A_guest_that_resets_itself_gets_a_busy_device_back_anew()
    {
        using var scripted = new ScriptedMachine(deadline: s_short, more: _disk);
        await scripted.Machine.Start().WaitAsync(s_limit);
        _disk.Hold();
        scripted.Signals.Reset(ResetKind.ResetControl);
        await scripted.Until(MachineEventKind.Reset);
        await scripted.Machine.Enlightenments().WaitAsync(s_limit);
        Assert.Equal(2, scripted.PowerOns);
        Assert.True(scripted.Machine.Platform.Devices.Find("disk") is { IsStarted: true, Failure: null });
        _disk.Finish();
    }

    [Fact]
    public async Task A_save_that_fails_costs_nothing_and_can_be_tried_again()
    {
        var device = new FailsToSave { Fails = true };
        using var scripted = new ScriptedMachine(more: device);
        await scripted.Machine.Start().WaitAsync(s_limit);
        string state = Path.Combine(_folder, "state");
        var failure = await Assert.ThrowsAsync<IOException>(() => StateSaver.Save(scripted.Machine, state).WaitAsync(s_limit));
        Assert.Equal("The state cannot be saved: The state of device 'fails' cannot be saved: planted", failure.Message);
        Assert.False(Directory.Exists(state));
        Assert.True(scripted.Machine.Platform.Devices.Find("fails") is { IsStarted: true, Failure: null });
        Assert.DoesNotContain(scripted.Events, happened => happened.Kind == MachineEventKind.DeviceFailed);

        device.Fails = false;
        await StateSaver.Save(scripted.Machine, state).WaitAsync(s_limit);
        Assert.True(File.Exists(Path.Combine(state, "machine.json")));
        Assert.Equal(MachineState.Running, scripted.Machine.State);
    }

    [Fact]
    public async Task An_end_in_the_middle_of_a_save_gives_it_up()
    {
        using var scripted = new ScriptedMachine(size: 64 << 20);
        var content = new byte[64 << 20];
        content.AsSpan().Fill(0x5a);
        Assert.True(scripted.Machine.Platform.Memory.TryWrite(new GuestPhysicalAddress(0), content));
        await scripted.Machine.Start().WaitAsync(s_limit);
        Task? end = null;
        var save = StateSaver.Save(scripted.Machine, Path.Combine(_folder, "state"), _ =>
        {
            // The machine's thread is free while memory is written, and hears of it at once.
            end ??= scripted.Machine.Stop();
            var answer = scripted.Machine.Enlightenments();
            Assert.True(SpinWait.SpinUntil(() => answer.IsCompletedSuccessfully, s_limit));
        });
        await Assert.ThrowsAsync<MachineStateException>(() => save.WaitAsync(s_limit));
        await end!.WaitAsync(s_limit);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public async Task A_device_that_its_guest_lets_go_after_all_is_told_of()
    {
        var device = new Ejectable();
        using var scripted = new ScriptedMachine(more: device);
        await scripted.Machine.Start().WaitAsync(s_limit);
        var devices = scripted.Machine.Platform.Devices;
        Assert.Equal(UnplugOutcome.Unanswered, await devices.UnplugAsync(devices.Find("ejectable")!, s_short).WaitAsync(s_limit));
        await scripted.Machine.Pause().WaitAsync(s_limit);
        await scripted.Machine.Resume().WaitAsync(s_limit);
        scripted.Engine.Cpus[0].Do(_ =>
        {
            device.Answer!(RemovalAnswer.Agreed);
            return VcpuExit.Kicked;
        });
        await scripted.Until(MachineEventKind.DeviceGone);
        Assert.Null(devices.Find("ejectable"));
    }

    [Fact]
    public async Task Disposing_a_machine_whose_device_never_rests_does_not_hang()
    {
        var stubborn = new DrainingDevice("stubborn", _log) { Stubborn = true };
        var scripted = new ScriptedMachine(deadline: s_short, more: stubborn);
        await scripted.Machine.Start().WaitAsync(s_limit);
        stubborn.Hold();
        var pause = scripted.Machine.Pause();
        await Task.Run(scripted.Dispose, TestContext.Current.CancellationToken).WaitAsync(s_limit);
        await Assert.ThrowsAnyAsync<Exception>(() => pause.WaitAsync(s_limit));
    }

    private Task Do(VirtualMachine machine, string what) => what switch
    {
        "pause" => machine.Pause(),
        "reset" => machine.Reset(),
        _ => StateSaver.Save(machine, Path.Combine(_folder, "state")),
    };

    private async Task WaitForLog(string line)
    {
        for (int i = 0; ; i++)
        {
            lock (_log)
            {
                if (_log.Contains(line))
                {
                    return;
                }
            }

            Assert.True(i < 1000);
            await Task.Delay(5);
        }
    }

    internal sealed record NoState;

    private sealed class FailsToSave : IDevice, ISavedState<NoState>
    {
        public bool Fails { get; set; }

        public string Name => "fails";

        public StateSchema<NoState> Schema { get; } = new("test-fails", Devices.Doubles.StateJson.Of<NoState>());

        public void Reset()
        {
        }

        public NoState Save() => Fails ? throw new InvalidCastException("planted") : new NoState();

        public void Load(NoState state)
        {
        }
    }

    private sealed class Ejectable : IDevice, IEjectable
    {
        public string Name => "ejectable";

        public Action<RemovalAnswer>? Answer { get; private set; }

        public void Reset()
        {
        }

        public void AskToEject(Action<RemovalAnswer> answer) => Answer = answer;

        public void Eject()
        {
        }
    }
}
