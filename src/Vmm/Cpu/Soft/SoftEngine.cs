using WebVm.Vmm.Confinement;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Soft;

/// <summary>Executes guest code with WebVm's own x86-64 processor: no hardware virtualization, no privileges.</summary>
public sealed class SoftEngine : ICpuEngine
{
    private readonly Lock _lock = new();
    private readonly GuestMemory _memory;
    private readonly IGuestBus _bus;
    private readonly ITimerService _timers;
    private readonly CpuProfile _profile;
    private readonly HostTimers _deadlines = new(() => InnerWall.Narrow(ThreadRole.Timers));
    private readonly TranslationDropper _dropper = new();
    private volatile SoftVcpu[] _vcpus = [];

    /// <param name="bus">Answers port and MMIO accesses.</param>
    /// <param name="timers">VM time, which the time stamp counters follow.</param>
    public SoftEngine(GuestMemory memory, IGuestBus bus, ITimerService timers)
        : this(memory, bus, timers, SoftOffer.ForGuests.Resolve(new CpuSpec()))
    {
    }

    /// <param name="profile">The processor that guests meet, of <see cref="SoftOffer"/>.</param>
    internal SoftEngine(GuestMemory memory, IGuestBus bus, ITimerService timers, CpuProfile profile)
    {
        _profile = profile;
        _memory = memory;
        _bus = bus;
        _timers = timers;
        Controllers = new SoftInterruptRouter(timers);
        memory.AddListener(_dropper);
    }

    public string Name => "soft";

    public CpuDescription Processor => CpuDescription.Of(_profile);

    public uint ParavirtualFeatures => KvmLeaves.Features;

    public IInterruptRouter Interrupts => Controllers;

    /// <summary>The interrupt controllers and the PIT, whose registers the machine puts on its bus.</summary>
    public SoftInterruptRouter Controllers { get; }

    public InterruptChips? Chips => new(Controllers.Pics, Controllers.Pit, Controllers.IoApic);

    public IVirtualCpu CreateVcpu(int index, CpuPlace place)
    {
        var vcpu = new SoftVcpu(index, place, _memory, _bus, _profile) { Clock = _timers.Clock, DeadlineTimers = _deadlines };
        vcpu.Apic = new LocalApic(Controllers.Apics, place.ApicId, index == 0, _timers, vcpu);
        lock (_lock)
        {
            _vcpus = [.. _vcpus, vcpu];
        }

        _dropper.Add(vcpu);

        return vcpu;
    }

    public InterruptControllerState SaveInterruptControllers() => Controllers.Save();

    public void LoadInterruptControllers(InterruptControllerState state) => Controllers.Load(state);

    public void ResetInterruptControllers() => Controllers.Reset();

    public void ConnectPit(bool connected) => Controllers.Pit.Disconnected = !connected;

    public void Dispose()
    {
        _memory.RemoveListener(_dropper);
        foreach (var vcpu in _vcpus)
        {
            vcpu.Dispose();
        }

        _deadlines.Dispose();
        Controllers.Dispose();
    }
}
