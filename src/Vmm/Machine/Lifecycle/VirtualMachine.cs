using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Machine.Assembly;
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
public sealed class VirtualMachine : IDisposable
{
    /// <summary>Milliseconds: a guest that does nothing but reset itself is not to keep everybody busy with it.</summary>
    private const long ShortestResetInterval = 50;

    private readonly Platform _platform;
    private readonly MachineThread _thread;
    private readonly VcpuGroup _vcpus = new();
    private readonly TaskCompletionSource<MachineExit> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Advanced by every reset: a request that the guest made before one does not count after it.</summary>
    private int _era;

    /// <summary>The era in which the guest last asked for an end or a reset, or told of a panic, by kind: once is enough, however often it does.</summary>
    private int _askedIn = -1;
    private readonly int[] _panickedIn = [-1, -1];
    private long _guestResetAt = -ShortestResetInterval;
    private volatile MachineState _state;
    private volatile VcpuCounters[] _counters = [];
    private bool _disposed;

    internal VirtualMachine(Platform platform)
    {
        _platform = platform;
        _thread = new MachineThread($"machine {platform.Spec.Name}");
        platform.Signals.ConnectTo(this);
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
    public Task Pause() => Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        if (_state == MachineState.Running)
        {
            Halt();
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
    public Task Reset() => Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        try
        {
            ResetNow("requested");
        }
        catch (Exception failure)
        {
            // Half a reset leaves nothing that could run on.
            End(MachineExit.HostFailure(failure.Message));
            throw;
        }
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
    internal Task Stop(MachineExit exit) => Run(() => End(exit));

    /// <summary>Which of the paravirtual interfaces the guest is offered, and which vCPUs' guests took them. The machine runs on meanwhile.</summary>
    public unsafe Task<IReadOnlyList<EnlightenmentStatus>> Enlightenments() => _thread.Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        using var states = new CpuStateBuffer(Spec.Cpus);
        _vcpus.Visit(cpu => cpu.Save(states[cpu.Index]));
        return EnlightenmentStatus.Of(_platform.Engine.ParavirtualFeatures, states);
    });

    /// <summary>Runs <paramref name="work"/> on the machine's thread while nothing of the machine moves; a running machine goes on afterwards.</summary>
    internal Task<T> WhileStill<T>(Func<VcpuGroup, T> work) => _thread.Run(() =>
    {
        Demand(MachineState.Running, MachineState.Paused);
        bool wasRunning = _state == MachineState.Running;
        if (wasRunning)
        {
            Halt();
        }

        try
        {
            return work(_vcpus);
        }
        finally
        {
            if (wasRunning)
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
        _thread.Post(() => End(MachineExit.Stopped));
        _thread.Dispose();
        // A thread that is still inside the guest uses all of it: better to leave that to the end of the process than to pull it away.
        if (_vcpus.HasEnded)
        {
            _platform.Dispose();
        }
    }

    internal void GuestEnded(MachineExit exit)
    {
        if (IsFirst(ref _askedIn, out int era))
        {
            _thread.Post(() =>
            {
                if (era == _era)
                {
                    End(exit);
                }
            });
        }
    }

    internal void GuestReset(string how)
    {
        if (IsFirst(ref _askedIn, out int era))
        {
            _thread.Post(() =>
            {
                if (era == _era && _state is MachineState.Running or MachineState.Paused)
                {
                    Attempt(() => ResetNow(how, byGuest: true));
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

    private Task Run(Action work) => _thread.Run(() =>
    {
        work();
        return true;
    });

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
        if (Spec.Clock == ClockChoice.CatchUp)
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

    private void Halt()
    {
        _vcpus.Park();
        _platform.Devices.Stop();
        _platform.Clock.Stop();
    }

    private void ResetNow(string how, bool byGuest = false)
    {
        bool wasRunning = _state == MachineState.Running;
        if (wasRunning)
        {
            Halt();
        }

        if (byGuest)
        {
            Thread.Sleep((int)Math.Max(0, _guestResetAt + ShortestResetInterval - Environment.TickCount64));
            _guestResetAt = Environment.TickCount64;
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

    private void End(MachineExit exit)
    {
        if (_state == MachineState.Stopped)
        {
            return;
        }

        // Each step is taken whatever became of the one before: where a vCPU is stuck, time stands still all the same. How the guest ended stays.
        foreach (var step in (Action[])[_vcpus.Dispose, _platform.Devices.Stop, _platform.Clock.Stop, _platform.Devices.PowerDown])
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

        Enter(MachineState.Stopped);
        Event?.Invoke(new MachineEvent(MachineEventKind.Exit, exit.Message, exit));
        _completion.TrySetResult(exit);
    }

    /// <summary>A transition that nobody awaits: its failure ends the machine.</summary>
    private void Attempt(Action transition)
    {
        try
        {
            transition();
        }
        catch (Exception failure)
        {
            End(MachineExit.HostFailure(failure.Message));
        }
    }

    private void Enter(MachineState state)
    {
        _state = state;
        Raise(MachineEventKind.State, state.ToString());
    }

    private void Raise(MachineEventKind kind, string text) => Event?.Invoke(new MachineEvent(kind, text));
}
