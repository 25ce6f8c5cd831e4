using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>
/// A virtual machine from its assembly to its end. Every transition happens on one thread of the machine's own; the methods here
/// queue them and may be called from anywhere.
/// </summary>
/// <remarks>
/// Order when running starts: devices, clock, vCPUs; when it stops: vCPUs, devices, clock. So no device sees an access while it is
/// stopped, and a device that stops can still tell VM time.
/// </remarks>
public sealed partial class VirtualMachine : IDisposable
{
    /// <summary>Milliseconds: a guest that does nothing but reset itself is not to keep everybody busy with it.</summary>
    private const long ShortestResetInterval = 50;

    /// <summary>For a transition that the end has cancelled and that does not come back, such as one inside a call of the host.</summary>
    private static readonly TimeSpan s_lastPatience = TimeSpan.FromSeconds(30);

    private readonly Platform _platform;
    private readonly MachineThread _thread;
    private readonly VcpuGroup _vcpus = new();
    private readonly TaskCompletionSource<MachineExit> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Advanced by every reset: a request that the guest made before one does not count after it.</summary>
    private int _era;

    /// <summary>
    /// The era in which the guest last asked for an end or a reset, or told of a panic, by kind: once is enough, however often it does.
    /// </summary>
    private int _askedIn = -1;
    private readonly int[] _panickedIn = [-1, -1];
    private long _guestResetAt = -ShortestResetInterval;
    private volatile MachineState _state;
    private volatile VcpuCounters[] _counters = [];
    private bool _disposed;

    internal VirtualMachine(Platform platform)
    {
        _platform = platform;
        _thread = new MachineThread($"machine {platform.Spec.Name}", s_lastPatience);
        platform.Signals.ConnectTo(this);
        platform.Devices.DriveBy(_thread);
        platform.Devices.DeviceGone += DeviceIsGone;
        platform.Devices.DeviceFailed += failure => Raise(MachineEventKind.DeviceFailed, failure.ToString());
        platform.Bus.Faulted += (window, fault) => platform.Devices.ReportFault(window.Owner, fault);
    }

    /// <summary>Raised for everything worth telling, on whatever thread it happened; handlers return at once.</summary>
    public event Action<MachineEvent>? Event;

    public MachineSpec Spec => _platform.Spec;

    public string EngineName => _platform.Engine.Name;

    public MachineState State => _state;

    /// <summary>Completes when the machine has stopped for good.</summary>
    public Task<MachineExit> Completion => _completion.Task;

    /// <summary>How the machine ended; null while it has not.</summary>
    public MachineExit? Exit => _completion.Task.IsCompletedSuccessfully ? _completion.Task.Result : null;

    /// <summary>VM time in nanoseconds.</summary>
    public long Time => _platform.Clock.Now;

    /// <summary>By vCPU index.</summary>
    public IReadOnlyList<VcpuCounters> Counters => _counters;

    /// <summary>COM1.</summary>
    public SerialConsole Serial => _platform.Serial;

    /// <summary>The keyboard; null for a machine without.</summary>
    public IKeyboardInput? Keyboard => _platform.Keyboard;

    public IPointerInput? Pointer => _platform.Pointer;

    /// <summary>The display's pixels; null for a machine without display.</summary>
    public Framebuffer? Framebuffer => _platform.Framebuffer;

    /// <summary>Shares the display with viewers; null for a machine without display.</summary>
    public DisplayPublisher? DisplayPublisher => _platform.DisplayPublisher;

    /// <summary>
    /// What devices get to come to rest when the machine goes on afterwards: half of the 20 s that its vCPUs may stand still, with its
    /// clock running, before Linux calls one locked up.
    /// </summary>
    internal TimeSpan PauseDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What they get at the end: less than the 5 s after which the service, which asked for it, takes harder means.</summary>
    internal TimeSpan EndDeadline { get; init; } = TimeSpan.FromSeconds(3);

    internal Platform Platform => _platform;

    /// <summary>Powers the machine on: firmware fills memory, vCPU 0 starts.</summary>
    public Task Start() => Run(() =>
    {
        Demand(MachineState.Created);
        CreateVcpus();
        _platform.Devices.PowerUp();
        PowerOn();
        Go();
    });

    /// <summary>vCPUs, devices and time stand still when the task completes. Nothing changes if they do already.</summary>
    /// <exception cref="DevicesBusyException">A device did not come to rest; the machine runs on.</exception>
    public Task Pause() => Run(async ending =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        if (_state == MachineState.Running)
        {
            await Halt(ending);
            Enter(MachineState.Paused);
        }
    });

    public Task Resume() => Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        if (_state == MachineState.Paused)
        {
            Go();
        }
    });

    /// <summary>System reset. A paused machine stays paused.</summary>
    /// <exception cref="DevicesBusyException">A device did not come to rest; the machine runs on, without a reset.</exception>
    public Task Reset() => Run(ending =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        return ResetNow("requested", byGuest: false, ending);
    });

    /// <summary>Presses the power button; what follows is the guest's affair.</summary>
    public Task PressPowerButton() => Run(() =>
    {
        Demand(MachineState.Running);
        _platform.PowerButton();
    });

    /// <summary>Ends the machine, whatever the guest does.</summary>
    public Task Stop() => Stop(MachineExit.Stopped);

    /// <param name="exit">Who asked for it, and the code that the process ends with.</param>
    internal Task Stop(MachineExit exit) => RunLast(() => End(exit));

    /// <summary>
    /// Which of the paravirtual interfaces the guest is offered, and which vCPUs' guests took them. The machine runs on meanwhile.
    /// </summary>
    public unsafe Task<IReadOnlyList<EnlightenmentStatus>> Enlightenments() => _thread.Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        using var states = new CpuStateBuffer(Spec.Cpus);
        _vcpus.Visit(cpu => cpu.Save(states[cpu.Index]));
        return EnlightenmentStatus.Of(_platform.Engine.ParavirtualFeatures, states);
    });

    /// <summary>
    /// Runs <paramref name="work"/>, begun on the machine's thread, while nothing of the machine moves; a running machine goes on
    /// afterwards.
    /// </summary>
    /// <param name="work">Is handed a token that is cancelled when the machine is to end.</param>
    /// <exception cref="DevicesBusyException">A device did not come to rest; the machine runs on.</exception>
    internal Task<T> WhileStill<T>(Func<VcpuGroup, CancellationToken, Task<T>> work) => Run(async ending =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        bool wasRunning = _state == MachineState.Running;
        if (wasRunning)
        {
            await Halt(ending);
        }

        try
        {
            return await work(_vcpus, ending);
        }
        finally
        {
            if (wasRunning && !ending.IsCancellationRequested)
            {
                Go(announce: false);
            }
        }
    });

    /// <summary>Brings up a machine that has never run into a state given by <paramref name="load"/>, paused.</summary>
    internal Task Restore(Action<VcpuGroup> load) => Run(() =>
    {
        Demand(MachineState.Created);
        CreateVcpus();
        _platform.Devices.PowerUp();
        load(_vcpus);
        Enter(MachineState.Paused);
    });

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _ = Stop();
        _thread.Dispose();
        // A thread that is still inside the guest, or a save inside the host, uses all of it: better to leave that to the end of the
        // process than to pull it away.
        if (_vcpus.HasEnded && !_thread.HasLeftSomething)
        {
            _platform.Dispose();
        }
    }

    internal void GuestEnded(MachineExit exit)
    {
        if (IsFirst(ref _askedIn, out int era))
        {
            _ = RunLast(() => era == _era ? End(exit) : Task.CompletedTask);
        }
    }

    internal void GuestReset(string how)
    {
        if (IsFirst(ref _askedIn, out int era))
        {
            _ = Run(async ending =>
            {
                if (era == _era && _state is MachineState.Running or MachineState.Paused)
                {
                    await ResetNow(how, byGuest: true, ending);
                }
            });
        }
    }

    internal void GuestPanicked(PanicKind kind)
    {
        if (IsFirst(ref _panickedIn[(int)kind], out _))
        {
            Raise(MachineEventKind.Panic, kind.ToString());
        }

        if (kind == PanicKind.Panicked)
        {
            GuestEnded(MachineExit.Crash("its kernel panicked"));
        }
    }

    /// <summary>Whether the guest asks for the first time since the last reset.</summary>
    private bool IsFirst(ref int askedIn, out int era)
    {
        era = Volatile.Read(ref _era);
        return Interlocked.Exchange(ref askedIn, era) != era;
    }

    private Task Run(Action work) => Run(_ =>
    {
        work();
        return Task.CompletedTask;
    });

    private Task Run(Func<CancellationToken, Task> transition) => Run(async ending =>
    {
        await transition(ending);
        return true;
    });

    private Task<T> Run<T>(Func<CancellationToken, Task<T>> transition) => _thread.RunTransition(async ending =>
    {
        try
        {
            return await transition(ending);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            throw new MachineStateException("the machine is being stopped");
        }
    });

    private Task RunLast(Func<Task> transition) => _thread.RunTransition(
        async _ =>
        {
            await transition();
            return true;
        },
        last: true);

    private void Demand(params ReadOnlySpan<MachineState> states)
    {
        if (!states.Contains(_state))
        {
            throw new MachineStateException($"the machine is {_state.ToString().ToLowerInvariant()}");
        }
    }

    private void CreateVcpus()
    {
        var topology = CpuLayout.Of(Spec);
        for (int index = _vcpus.Count; index < Spec.Cpus; index++)
        {
            _vcpus.Add(_platform.Engine.CreateVcpu(index, topology[index]), VcpuEnded);
        }

        _counters = [.. _vcpus.Cpus.Select(cpu => cpu.Counters)];
    }

    private void PowerOn()
    {
        using var states = new CpuStateBuffer(Spec.Cpus);
        _platform.PowerOn(states);
        _vcpus.Load(states);
    }

    private void Go(bool announce = true)
    {
        if (Spec.Clock == ClockPolicy.CatchUp)
        {
            _platform.Clock.CatchUp();
        }

        _platform.Devices.Start();
        _platform.Clock.Start();
        _vcpus.Run();
        if (announce)
        {
            Enter(MachineState.Running);
        }
    }

    /// <summary>Brings all to a stand, or leaves all running.</summary>
    private async Task Halt(CancellationToken ending)
    {
        _vcpus.Park();
        var stopped = await _platform.Devices.StopAsync(PauseDeadline, ending);
        // What ends now is not started again.
        ending.ThrowIfCancellationRequested();
        if (!stopped.AtRest)
        {
            _platform.Devices.Start();
            _vcpus.Run();
            throw new DevicesBusyException($"{stopped}; the machine runs on");
        }

        _platform.Clock.Stop();
    }

    private async Task ResetNow(string how, bool byGuest, CancellationToken ending)
    {
        try
        {
            bool wasRunning = _state == MachineState.Running;
            if (byGuest)
            {
                await HaltForReset(wasRunning, ending);
            }
            else if (wasRunning)
            {
                await Halt(ending);
            }

            Volatile.Write(ref _era, _era + 1);
            _platform.Engine.ResetInterruptControllers();
            _platform.Devices.Reset();
            PowerOn();
            Raise(MachineEventKind.Reset, how);
            if (wasRunning)
            {
                Go(announce: false);
            }
        }
        catch (Exception failure) when (failure is not (DevicesBusyException or OperationCanceledException))
        {
            // Half a reset leaves nothing that could run on.
            await End(MachineExit.HostFailure(failure.Message));
            throw;
        }
    }

    /// <summary>
    /// A guest that has reset itself does not go on: a device that does not come to rest is lost, until the reset powers it up anew.
    /// </summary>
    private async Task HaltForReset(bool wasRunning, CancellationToken ending)
    {
        if (wasRunning)
        {
            _vcpus.Park();
            await _platform.Devices.StopForGoodAsync(PauseDeadline, ending);
            ending.ThrowIfCancellationRequested();
            _platform.Clock.Stop();
        }

        if (_guestResetAt + ShortestResetInterval - Environment.TickCount64 is > 0 and var early)
        {
            await Task.Delay((int)early, ending);
        }

        _guestResetAt = Environment.TickCount64;
    }

    private unsafe void VcpuEnded(IVirtualCpu cpu, VcpuExit exit, string? reason)
    {
        using var state = new CpuStateBuffer(1);
        try
        {
            cpu.Save(state[0]);
        }
        catch (Exception failure)
        {
            GuestEnded(MachineExit.HostFailure($"vCPU {cpu.Index}: {reason}; its state is lost: {failure.Message}"));
            return;
        }

        if (exit != VcpuExit.Shutdown)
        {
            GuestEnded(MachineExit.HostFailure($"vCPU {cpu.Index}: {reason ?? exit.ToString()} ({CpuStateText.Of(state[0])})"));
        }
        else if (state[0]->Idtr.Limit == 0)
        {
            // An empty IDT makes a triple fault certain: it is how software resets a PC that has no other way (Linux's reboot=triple).
            GuestReset("TripleFault");
        }
        else
        {
            GuestEnded(MachineExit.Crash($"triple fault on vCPU {cpu.Index} ({CpuStateText.Of(state[0])})"));
        }
    }

    private async Task End(MachineExit exit)
    {
        if (_state == MachineState.Stopped)
        {
            return;
        }

        // Each step is taken whatever became of the one before: where a vCPU is stuck, time stands still all the same. How the guest ended
        // stays.
        Take(_vcpus.Dispose);
        await _platform.Devices.StopForGoodAsync(EndDeadline);
        Take(_platform.Clock.Stop);
        Take(_platform.Devices.PowerDown);
        Enter(MachineState.Stopped);
        Event?.Invoke(new MachineEvent(MachineEventKind.Exit, exit.Message, exit));
        _completion.TrySetResult(exit);

        void Take(Action step)
        {
            try
            {
                step();
            }
            catch (Exception failure)
            {
                exit = exit with { Message = $"{exit.Message}; then: {failure.Message}" };
            }
        }
    }

    private void Enter(MachineState state)
    {
        _state = state;
        Raise(MachineEventKind.State, state.ToString());
    }

    private void Raise(MachineEventKind kind, string text) => Event?.Invoke(new MachineEvent(kind, text));
}
