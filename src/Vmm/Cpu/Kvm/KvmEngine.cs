using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// Executes guest code with the host's KVM: in-kernel interrupt controllers and PIT, memory slots that follow the guest's memory map.
/// </summary>
public sealed unsafe class KvmEngine : ICpuEngine
{
    /// <summary>
    /// Four pages that KVM needs on some Intel hosts for real mode, below the firmware's ROM where no memory is ever mapped.
    /// </summary>
    private const ulong IdentityMap = 0xfeff_c000;
    private const ulong TaskStateSegment = 0xfeff_d000;

    private readonly GuestMemory _memory;
    private readonly FileDescriptor _vm;
    private readonly KvmInterrupts _interrupts;
    private readonly KvmMemorySlots _slots;
    private readonly KvmClock _clock;
    private readonly KvmControllerState _controllers;
    private readonly List<KvmVcpu> _vcpus = [];
    private KvmMsrs? _msrs;
    private readonly Lock _assistLock = new();
    private TranslationDropper? _assists;

    /// <param name="bus">Answers port and MMIO accesses.</param>
    /// <param name="clock">VM time, which the guest's paravirtual clock follows.</param>
    /// <exception cref="IOException">There is no usable KVM on this host.</exception>
    /// <exception cref="LinuxException">It refuses what is needed of it.</exception>
    public KvmEngine(GuestMemory memory, IGuestBus bus, VirtualClock clock)
        : this(memory, bus, clock, null)
    {
    }

    /// <param name="profile">The processor that guests meet, of <see cref="Measurement.KvmOffer.ForGuests"/>; null for what guests get that
    /// ask for nothing.</param>
    /// <exception cref="IOException">There is no usable KVM on this host.</exception>
    /// <exception cref="LinuxException">It refuses what is needed of it.</exception>
    internal KvmEngine(GuestMemory memory, IGuestBus bus, VirtualClock clock, CpuProfile? profile)
    {
        _memory = memory;
        Bus = bus;
        Device = KvmDevice.Open();
        try
        {
            _vm = Device.CreateVm();
            Control(KvmRequests.KVM_SET_TSS_ADDR, (nuint)TaskStateSegment, nameof(KvmRequests.KVM_SET_TSS_ADDR));
            ulong identity = IdentityMap;
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_IDENTITY_MAP_ADDR, &identity, nameof(KvmRequests.KVM_SET_IDENTITY_MAP_ADDR));
            EnableX2ApicIds();
            const ulong registers = KvmFlags.KVM_SYNC_X86_REGS | KvmFlags.KVM_SYNC_X86_SREGS | KvmFlags.KVM_SYNC_X86_EVENTS;
            SharedRegisters = ((ulong)Device.Capability(KvmCapabilities.KVM_CAP_SYNC_REGS) & registers) == registers ? registers : 0;
            ReportEmulationFailures();
            _interrupts = new KvmInterrupts(_vm);
            IoEvents = new KvmIoEvents(_vm);
            _controllers = new KvmControllerState(_vm, clock);
            Cpuid = KvmCpuid.ForHost(Device, profile);
            Gate = new KvmGate(Snapshot);
            _slots = new KvmMemorySlots(_vm, memory, Gate);
            memory.AddListener(_slots);
            _clock = new KvmClock(_vm, clock, _vcpus);
        }
        catch
        {
            if (_slots is not null)
            {
                memory.RemoveListener(_slots);
            }

            _vm?.Dispose();
            Device.Dispose();
            throw;
        }
    }

    public string Name => "kvm";

    public CpuDescription Processor => CpuDescription.Of(Cpuid.Profile);

    public uint ParavirtualFeatures => Cpuid.Leaves.FirstOrDefault(leaf => leaf.function == KvmParavirtual.KVM_CPUID_FEATURES).eax;

    public IInterruptRouter Interrupts => _interrupts;

    public InterruptChips? Chips => null;

    /// <summary>The router with what only KVM has: descriptors that raise interrupts.</summary>
    internal KvmInterrupts KernelInterrupts => _interrupts;

    /// <summary>Doorbells that the kernel answers.</summary>
    internal KvmIoEvents IoEvents { get; }

    internal KvmDevice Device { get; }

    internal KvmGate Gate { get; }

    internal IGuestBus Bus { get; }

    internal GuestMemory Memory => _memory;

    internal KvmCpuid Cpuid { get; }

    /// <summary>Whether the soft interpreter completes instructions that this host's KVM cannot emulate; else they are failures.</summary>
    public bool Assists { get; init; } = true;

    internal FileDescriptor Vm => _vm;

    /// <summary>The classes of registers that KVM can copy in and out along with KVM_RUN: all that assists need, or none.</summary>
    internal ulong SharedRegisters { get; }

    internal bool ClockRuns => _clock.Runs;

    /// <summary>What the guest's paravirtual clock shows, in nanoseconds.</summary>
    internal ulong ParavirtualTime => _clock.Read();

    public IVirtualCpu CreateVcpu(int index, CpuPlace place)
    {
        var descriptor = new FileDescriptor(
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_CREATE_VCPU, (nuint)place.ApicId, nameof(KvmRequests.KVM_CREATE_VCPU)));
        try
        {
            Cpuid.Apply(descriptor, place);
            _msrs ??= KvmMsrs.Probe(descriptor.Number);
            var vcpu = new KvmVcpu(this, descriptor, index, place.ApicId);
            lock (_vcpus)
            {
                _vcpus.Add(vcpu);
            }

            return vcpu;
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    public InterruptControllerState SaveInterruptControllers() => _controllers.Save(Snapshot());

    public void LoadInterruptControllers(InterruptControllerState state) => _controllers.Load(state, Snapshot());

    public void ResetInterruptControllers() => _controllers.Reset(Snapshot());

    public void ConnectPit(bool connected) => _controllers.ConnectPit(connected);

    public void Dispose()
    {
        _memory.RemoveListener(_slots);
        _clock.Dispose();
        foreach (var vcpu in Snapshot())
        {
            vcpu.Unmap();
        }

        if (_assists is not null)
        {
            _memory.RemoveListener(_assists);
        }

        _vm.Dispose();
        Device.Dispose();
    }

    /// <summary>An interpreter for one vCPU, made when first needed: most hosts never need one.</summary>
    internal KvmAssist? CreateAssist(KvmVcpuState state)
    {
        if (!Assists)
        {
            return null;
        }

        lock (_assistLock)
        {
            if (_assists is null)
            {
                _assists = new TranslationDropper();
                _memory.AddListener(_assists);
            }
        }

        var extended = Cpuid.HasForeignComponents ? new KvmExtendedStateAssist(state, _memory, Cpuid) : null;
        return new KvmAssist(state, _memory, _assists, Bus, extended);
    }

    internal KvmVcpuState CreateState(int vcpu) => new(
        vcpu,
        _msrs!,
        Device.Capability(KvmCapabilities.KVM_CAP_SREGS2) != 0,
        Cpuid.Components,
        KvmCalls.Control(_vm.Number, KvmRequests.KVM_CHECK_EXTENSION, (nuint)KvmCapabilities.KVM_CAP_XSAVE2));

    private KvmVcpu[] Snapshot()
    {
        lock (_vcpus)
        {
            return [.. _vcpus.OrderBy(vcpu => vcpu.Index)];
        }
    }

    /// <summary>Message destinations are x2APIC ids with all 32 bits, and broadcast means broadcast, also beyond 255 processors.</summary>
    private void EnableX2ApicIds()
    {
        var request = new kvm_enable_cap { cap = KvmCapabilities.KVM_CAP_X2APIC_API };
        request.args[0] = KvmFlags.KVM_X2APIC_API_USE_32BIT_IDS | KvmFlags.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
        if (Device.Capability(KvmCapabilities.KVM_CAP_X2APIC_API) != 0)
        {
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_ENABLE_CAP, &request, nameof(KvmRequests.KVM_ENABLE_CAP));
        }
    }

    /// <summary>KVM would answer an instruction of user code that it cannot emulate with #UD; it is to come to us instead.</summary>
    private void ReportEmulationFailures()
    {
        var request = new kvm_enable_cap { cap = KvmCapabilities.KVM_CAP_EXIT_ON_EMULATION_FAILURE };
        request.args[0] = 1;
        if (Device.Capability(KvmCapabilities.KVM_CAP_EXIT_ON_EMULATION_FAILURE) != 0)
        {
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_ENABLE_CAP, &request, nameof(KvmRequests.KVM_ENABLE_CAP));
        }
    }

    private void Control(nuint request, nuint argument, string name) => KvmCalls.Require(_vm.Number, request, argument, name);
}
