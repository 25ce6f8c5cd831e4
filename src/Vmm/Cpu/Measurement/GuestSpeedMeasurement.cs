using System.Diagnostics;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Measurement;

/// <summary>Runs small loops as 64-bit guest code and takes the time.</summary>
internal sealed unsafe class GuestSpeedMeasurement : IGuestBus, IDisposable
{
    private const ulong PageTables = 0x1000;
    private const ulong Code = 0x8000;
    private const ulong Entry = 0x9000;
    private const ulong Program = 0xa000;
    private const ushort Port = 0x500;
    private const int LoopInstructions = 2;

    /// <summary>A loop takes at most this long, so that a slow engine does not hold up the start of a VM.</summary>
    private const long Patience = 20_000_000;

    private readonly GuestMemory _memory;
    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
    private IVirtualCpu? _vcpu;
    private int _writes;
    private int _stopAfter;
    private uint _lastValue;

    private GuestSpeedMeasurement(GuestMemory memory)
    {
        _memory = memory;
        var ram = memory.CreateRegion("probe", GuestMemoryKind.Ram, 1 << 20);
        memory.TryMap(ram, new GuestPhysicalAddress(0));

        // One gigabyte identity-mapped for user and supervisor by a large page (SDM Vol. 3A §4.5).
        memory.TryWrite(new GuestPhysicalAddress(PageTables), PageTables + 0x1000 | 7UL);
        memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x1000), PageTables + 0x2000 | 7UL);
        memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x2000), 0x87UL);

        // loop: dec rcx; jnz loop; again: out dx, al; jmp again
        memory.TryWrite(new GuestPhysicalAddress(Code), [0x48, 0xff, 0xc9, 0x75, 0xfb, 0xee, 0xeb, 0xfd]);
    }

    public static (GuestSpeed Speed, int TscKilohertz) OnKvm()
    {
        using var memory = new GuestMemory();
        using var measurement = new GuestSpeedMeasurement(memory);
        using var engine = new KvmEngine(memory, measurement, new VirtualClock()) { Assists = false };
        var vcpu = (KvmVcpu)engine.CreateVcpu(0, CpuPlace.Alone);
        int frequency = KvmCalls.Control(vcpu.Descriptor.Number, KvmRequests.KVM_GET_TSC_KHZ, (nuint)0);
        return (measurement.Measure(vcpu), Math.Max(0, frequency));
    }

    /// <summary>Whether SYSCALL at CPL 3 gets to the entry point with kernel segments: it then writes CS to the port.</summary>
    public static bool TakesSystemCallsOnKvm()
    {
        const ushort kernelCode = 0x10;
        using var memory = new GuestMemory();
        using var measurement = new GuestSpeedMeasurement(memory);
        using var engine = new KvmEngine(memory, measurement, new VirtualClock()) { Assists = false };
        using var vcpu = engine.CreateVcpu(0, CpuPlace.Alone);

        // At the entry: mov ax, cs; out dx, ax. The program: syscall.
        memory.TryWrite(new GuestPhysicalAddress(Entry), [0x66, 0x8c, 0xc8, 0x66, 0xef, 0xeb, 0xfc]);
        memory.TryWrite(new GuestPhysicalAddress(Program), [0x0f, 0x05, 0xeb, 0xfe]);
        measurement._vcpu = vcpu;
        measurement.SetState(3, 0);
        var state = measurement._state;
        state->Efer |= 1; // SCE
        state->Msr.Star = 0x0023_0000_0000_0000 | ((ulong)kernelCode << 32);
        state->Msr.Lstar = Entry;
        state->Rip = Program;
        vcpu.Load(state);
        measurement._stopAfter = 1;
        vcpu.Deadline = Stopwatch.GetTimestamp() + Patience;
        return vcpu.Run() == VcpuExit.Kicked && measurement._lastValue == kernelCode;
    }

    /// <summary>
    /// Whether a program of a guest on KVM sees the CPUID that was set. A KVM without hardware virtualization, whose user code runs on the
    /// processor itself, cannot have CPUID intercepted there.
    /// </summary>
    public static bool ShowsModelsOnKvm()
    {
        const CpuModel model = CpuModel.X86_64V2;
        using var memory = new GuestMemory();
        using var measurement = new GuestSpeedMeasurement(memory);
        using var engine = new KvmEngine(
            memory, measurement, new VirtualClock(), new CpuProfile(model, CpuVendors.Host, CpuModels.Features(model)));
        using var vcpu = engine.CreateVcpu(0, CpuPlace.Alone);

        // mov eax, 0x80000002; cpuid; mov edx, Port; out dx, eax; jmp $
        memory.TryWrite(
            new GuestPhysicalAddress(
                Program), [0xb8, 2, 0, 0, 0x80, 0x0f, 0xa2, 0xba, (byte)(Port & 0xff), (byte)(Port >> 8), 0, 0, 0xef, 0xeb, 0xfe]);
        measurement._vcpu = vcpu;
        measurement.SetState(3, 0);
        measurement._state->Rip = Program;
        vcpu.Load(measurement._state);
        measurement._stopAfter = 1;
        vcpu.Deadline = Stopwatch.GetTimestamp() + Patience;
        return vcpu.Run() == VcpuExit.Kicked && measurement._lastValue == BitConverter.ToUInt32("x86-"u8);
    }

    public static GuestSpeed? OnSoft()
    {
        using var memory = new GuestMemory();
        using var measurement = new GuestSpeedMeasurement(memory);
        using var timers = new TimerService(new VirtualClock());
        using var engine = new SoftEngine(memory, measurement, timers);
        var vcpu = engine.CreateVcpu(0, CpuPlace.Alone);

        try
        {
            // Once without measuring: the first pass is what compiles the interpreter.
            measurement.Measure(vcpu);
            return measurement.Measure(vcpu);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    public uint ReadPort(ushort port, int size) => 0;

    public void WritePort(ushort port, int size, uint value)
    {
        _lastValue = value;
        if (++_writes >= _stopAfter)
        {
            _vcpu!.Kick();
        }
    }

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    public void Dispose() => NativeMemory.AlignedFree(_state);

    private GuestSpeed Measure(IVirtualCpu vcpu)
    {
        _vcpu = vcpu;
        double privileged = LoopSpeed(0);
        double unprivileged = LoopSpeed(3);
        const int exits = 200;
        long loops = Time(0, 1, exits) - Time(0, 1, 1);
        return new GuestSpeed(privileged, unprivileged, Math.Max(0, loops / (double)(exits - 1)));
    }

    /// <summary>Instructions a second, from as long a loop as the engine does in about a millisecond.</summary>
    private double LoopSpeed(int privilege)
    {
        Time(privilege, 1, 1);
        long empty = Time(privilege, 1, 1);
        for (long count = 500; ; count *= 4)
        {
            long taken = Math.Max(1, Time(privilege, count, 1) - empty);
            if (taken > 500_000 || count > 100_000_000)
            {
                return count * LoopInstructions * 1e9 / taken;
            }
        }
    }

    /// <summary>Nanoseconds of a loop with that count, until the guest's n-th exit.</summary>
    private long Time(int privilege, long count, int exits)
    {
        SetState(privilege, (ulong)count);
        _vcpu!.Load(_state);
        _writes = 0;
        _stopAfter = exits;
        long start = Stopwatch.GetTimestamp();
        _vcpu.Deadline = start + Patience;
        var exit = _vcpu.Run();
        long taken = Stopwatch.GetTimestamp() - start;
        _vcpu.Deadline = 0;
        return exit is VcpuExit.Kicked or VcpuExit.DeadlineReached
            ? taken
            : throw new InvalidOperationException($"a guest's loop ended by {exit}: {_vcpu.Failure}");
    }

    private void SetState(int privilege, ulong count)
    {
        CpuReset.PowerOn(_state, bootProcessor: true, CpuVendors.Host);
        var level = (SegmentAttributes)(privilege << 5);
        const SegmentAttributes common = SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable | SegmentAttributes.CodeOrData
            | SegmentAttributes.Present | SegmentAttributes.Granularity4K;
        var data = new SegmentRegister { Selector = (ushort)(0x10 | privilege), Limit = uint.MaxValue, Attributes = common | level
            | SegmentAttributes.Default32 };
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            _state->Segments[segment] = data;
        }

        _state->Segments[SegmentIndex.Cs] = new SegmentRegister
        {
            Selector = (ushort)(0x8 | privilege),
            Limit = uint.MaxValue,
            Attributes = common | level | SegmentAttributes.Code | SegmentAttributes.Long,
        };
        _state->Cr0 = 0x8000_0033; // PG, NE, ET, MP, PE
        _state->Cr3 = PageTables;
        _state->Cr4 = 0x20; // PAE
        _state->Efer = 0x500; // LME, LMA
        _state->Rip = Code;
        _state->Rflags = 0x3002; // IOPL 3, so that user code may exit by OUT
        _state->Gpr[1] = count;
        _state->Gpr[2] = Port;
    }
}
