using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

/// <summary>
/// An engine without a processor: its vCPUs do what a test tells them to, so that what surrounds engines can be seen alone.
/// </summary>
internal sealed class ScriptedEngine : ICpuEngine, IInterruptRouter
{
    private readonly List<ScriptedCpu> _cpus = [];
    private int _resets;

    public CpuDescription Processor { get; } = new() { Model = "host", Vendor = CpuVendor.Intel, Features = [] };

    public string Name => "scripted";

    public uint ParavirtualFeatures { get; set; }

    public IInterruptRouter Interrupts => this;

    public InterruptChips? Chips => null;

    public IReadOnlyList<ScriptedCpu> Cpus => _cpus;

    public int Resets => Volatile.Read(ref _resets);

    public IVirtualCpu CreateVcpu(int index, CpuPlace place)
    {
        var cpu = new ScriptedCpu(index, place.ApicId);
        _cpus.Add(cpu);
        return cpu;
    }

    public InterruptControllerState SaveInterruptControllers() => new()
    {
        PrimaryPic = new PicState(),
        SecondaryPic = new PicState(),
        IoApic = new IoApicState { Redirection = new ulong[24] },
        Pit = new PitState { Channels = [new(), new(), new()] },
        LocalApics = [.. _cpus.Select(_ => new LocalApicState { Registers = new byte[1024] })],
    };

    public void LoadInterruptControllers(InterruptControllerState state)
    {
    }

    public void ResetInterruptControllers() => Interlocked.Increment(ref _resets);

    public void ConnectPit(bool connected)
    {
    }

    public void SetLine(int gsi, bool asserted)
    {
    }

    public void SendMsi(MsiMessage message)
    {
    }

    public void Dispose() => _cpus.ForEach(cpu => cpu.Dispose());
}

internal sealed unsafe class ScriptedCpu(int index, uint apicId) : IVirtualCpu
{
    private readonly object _gate = new();
    private CpuState _state;
    private bool _kicked;
    private Queue<Func<ScriptedCpu, VcpuExit>> _script = new();
    private int _threadId;

    public int Index => index;

    public uint ApicId => apicId;

    public long Deadline { get; set; }

    public string? Failure { get; set; }

    public VcpuCounters Counters { get; } = new();

    public bool Inside { get; private set; }

    public bool Disposed { get; private set; }

    public ref CpuState State => ref _state;

    /// <summary>Makes the guest do something next.</summary>
    public void Do(Func<ScriptedCpu, VcpuExit> step)
    {
        lock (_gate)
        {
            _script.Enqueue(step);
            Monitor.PulseAll(_gate);
        }
    }

    public VcpuExit Run()
    {
        CheckThread();
        Func<ScriptedCpu, VcpuExit> step;
        lock (_gate)
        {
            Inside = true;
            Counters.OtherExits++;
            while (!_kicked && _script.Count == 0)
            {
                Monitor.Wait(_gate);
            }

            Inside = false;
            if (_kicked)
            {
                _kicked = false;
                return VcpuExit.Kicked;
            }

            step = _script.Dequeue();
        }

        return step(this);
    }

    public void Kick()
    {
        lock (_gate)
        {
            _kicked = true;
            Monitor.PulseAll(_gate);
        }
    }

    public void Save(CpuState* destination)
    {
        CheckThread();
        *destination = _state;
    }

    public void Load(CpuState* source)
    {
        CheckThread();
        _state = *source;
    }

    public void Dispose() => Disposed = true;

    // The contract: one thread runs and reads a vCPU for all its life.
    private void CheckThread()
    {
        int seen = Interlocked.CompareExchange(ref _threadId, Environment.CurrentManagedThreadId, 0);
        Assert.True(seen == 0 || seen == Environment.CurrentManagedThreadId, "A vCPU is used by two threads.");
    }
}
