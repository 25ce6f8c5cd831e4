using System.Diagnostics;
using Tmds.Linux;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>One vCPU of KVM: runs guest code, answers its exits and moves its state.</summary>
internal sealed unsafe class KvmVcpu : IVirtualCpu
{
    private readonly KvmEngine _engine;
    private readonly FileDescriptor _descriptor;
    private readonly kvm_run* _run;
    private readonly int _runSize;
    private readonly KvmVcpuState _state;
    private readonly KvmExitHandler _exits;
    private readonly ThreadKick _kick = new();
    private readonly kvm_lapic_state _powerOnLapic;
    private kvm_lapic_state? _loadedLapic;
    private ulong _loadedDeadline;
    private KvmAssist? _assist;
    private int _kicked;
    private bool _inGuest;

    public KvmVcpu(KvmEngine engine, FileDescriptor descriptor, int index, uint apicId)
    {
        _engine = engine;
        _descriptor = descriptor;
        Index = index;
        ApicId = apicId;
        _runSize = engine.Device.RunSize;
        void* mapped = LibC.mmap(null, _runSize, LibC.PROT_READ | LibC.PROT_WRITE, LibC.MAP_SHARED, descriptor.Number, 0);
        _run = mapped == (void*)-1 ? throw LinuxException.Last("mmap") : (kvm_run*)mapped;
        _state = engine.CreateState(descriptor.Number);
        TimeStamp = new KvmTimeStamp(descriptor.Number, _state);
        _exits = new KvmExitHandler(engine.Bus, engine.Memory, _run, Counters);
        SetSignalMask();
        _powerOnLapic = GetLapic();
    }

    public int Index { get; }

    public uint ApicId { get; }

    public long Deadline { get; set; }

    public string? Failure { get; private set; }

    public VcpuCounters Counters { get; } = new();

    /// <summary>The kernel's view of this vCPU's file, for calls that this class does not wrap.</summary>
    internal FileDescriptor Descriptor => _descriptor;

    internal KvmVcpuState State => _state;

    internal KvmTimeStamp TimeStamp { get; }

    internal kvm_run* Shared => _run;

    public VcpuExit Run()
    {
        if (Failure is not null)
        {
            return VcpuExit.HostFailure;
        }

        _loadedLapic = null;
        _kick.Enter(Deadline);
        if (Volatile.Read(ref _kicked) != 0 || DeadlinePassed)
        {
            // Nothing more of the guest runs, but an access whose answer KVM has not yet taken in is completed.
            _run->immediate_exit = 1;
        }

        try
        {
            return Loop();
        }
        finally
        {
            _kick.Leave();
        }
    }

    public void Kick()
    {
        Volatile.Write(ref _kicked, 1);
        Volatile.Write(ref _run->immediate_exit, 1);
        _kick.Send();
    }

    public void Save(CpuState* destination)
    {
        _state.Save(destination);
        destination->Msr.Tsc = TimeStamp.Frozen ?? destination->Msr.Tsc;
        destination->Msr.TscKilohertz = TimeStamp.Kilohertz;
    }

    public void Load(CpuState* source)
    {
        ulong frequency = source->Msr.TscKilohertz;
        if (frequency is > 0 and <= uint.MaxValue && frequency != TimeStamp.Kilohertz)
        {
            TimeStamp.TrySetFrequency((uint)frequency);
        }

        _state.Load(source);
        TimeStamp.Frozen = _engine.ClockRuns ? null : source->Msr.Tsc;
        _loadedDeadline = source->Msr.TscDeadline;

        // The local APIC's mode is in the base MSR just loaded, and its timer in the time stamp counter.
        if (_loadedLapic is { } lapic)
        {
            SetLapic(lapic);
        }

        Failure = null;
    }

    /// <summary>May be called by whoever ends the vCPU's thread and again by the engine.</summary>
    public void Dispose()
    {
        if (_descriptor.IsClosed)
        {
            return;
        }

        _assist?.Dispose();
        _kick.Dispose();
        _state.Dispose();
        _descriptor.Dispose();
    }

    /// <summary>It executes guest code, or is about to.</summary>
    internal bool IsInGuest => Volatile.Read(ref _inGuest);

    /// <summary>Has it leave guest code if it is there, and look at the gate before it goes on.</summary>
    internal void CallOut()
    {
        if (IsInGuest)
        {
            Volatile.Write(ref _run->immediate_exit, 1);
            _kick.Send();
        }
    }

    /// <summary>The end of the engine. Until then a late <see cref="Kick"/> finds the page that it writes to.</summary>
    internal void Unmap()
    {
        Dispose();
        _ = LibC.munmap(_run, _runSize);
    }

    internal kvm_lapic_state GetLapic()
    {
        kvm_lapic_state lapic;
        KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_GET_LAPIC, &lapic, nameof(KvmRequests.KVM_GET_LAPIC));
        return lapic;
    }

    /// <summary>Loads the local APIC; in either order with <see cref="Load"/>.</summary>
    internal void SetLapic(kvm_lapic_state lapic)
    {
        _loadedLapic = lapic;
        KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_SET_LAPIC, &lapic, nameof(KvmRequests.KVM_SET_LAPIC));
        if (_loadedDeadline != 0)
        {
            _ = _state.TryWriteMsr(KvmMsrs.TscDeadline, _loadedDeadline);
        }
    }

    internal void ResetLapic()
    {
        _loadedDeadline = 0;
        SetLapic(_powerOnLapic);
    }

    private bool DeadlinePassed => Deadline != 0 && Stopwatch.GetTimestamp() >= Deadline;

    private VcpuExit Loop()
    {
        while (true)
        {
            int error = RunGuest();
            if (error == 0)
            {
                switch (_exits.Handle())
                {
                    case KvmExitHandler.Verdict.Continue:
                        continue;
                    case KvmExitHandler.Verdict.Shutdown:
                        return VcpuExit.Shutdown;
                    case KvmExitHandler.Verdict.CannotEmulate when TryAssist():
                        continue;
                    default:
                        Failure ??= _exits.Describe();
                        return VcpuExit.HostFailure;
                }
            }

            if (error == ErrorNumber.EINTR)
            {
                // Clear and drain before looking: a kick that comes in between is seen by the look or by the next call.
                Volatile.Write(ref _run->immediate_exit, 0);
                _kick.Drain();
                if (Interlocked.Exchange(ref _kicked, 0) != 0)
                {
                    return VcpuExit.Kicked;
                }

                if (DeadlinePassed)
                {
                    return VcpuExit.DeadlineReached;
                }
            }
            else if (error != ErrorNumber.EAGAIN) // A processor that waits for its start was woken for nothing.
            {
                Failure = new LinuxException(nameof(KvmRequests.KVM_RUN), error).Message;
                return VcpuExit.HostFailure;
            }
        }
    }

    private int RunGuest()
    {
        while (true)
        {
            Volatile.Write(ref _inGuest, true);
            if (!_engine.Gate.IsClosed)
            {
                break;
            }

            Volatile.Write(ref _inGuest, false);
            _engine.Gate.Wait();
        }

        int error = KvmCalls.Run(_descriptor.Number);
        Volatile.Write(ref _inGuest, false);
        return error;
    }

    /// <summary>Lets the interpreter execute the instruction that KVM cannot. False when it must not.</summary>
    private bool TryAssist()
    {
        _assist ??= _engine.CreateAssist(_state);
        if (_assist is null)
        {
            return false;
        }

        Counters.Assists++;
        try
        {
            _assist.Complete(_exits.Instruction, _run->kvm_valid_regs != 0 ? _run : null);

            // Where one instruction needs help many will: from now on KVM hands the registers over with each exit.
            _run->kvm_valid_regs = _engine.SharedRegisters;
            return true;
        }
        catch (LinuxException refused)
        {
            // KVM does not take the state that the instruction leads to.
            Failure = $"{_exits.Describe()}, {_assist}: {refused.Message}";
            return false;
        }
    }

    private void SetSignalMask()
    {
        const int kernelSetSize = sizeof(ulong);
        byte* request = stackalloc byte[sizeof(kvm_signal_mask) + kernelSetSize];
        ((kvm_signal_mask*)request)->len = kernelSetSize;
        System.Runtime.CompilerServices.Unsafe.WriteUnaligned(request + sizeof(kvm_signal_mask), ThreadKick.MaskInsideCall);
        KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_SET_SIGNAL_MASK, request, nameof(KvmRequests.KVM_SET_SIGNAL_MASK));
    }
}
