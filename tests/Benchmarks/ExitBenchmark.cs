using System.Diagnostics;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Benchmarks;

/// <summary>
/// How often a guest that does nothing but OUT gets to its port handler, under KVM: ours beside a minimal loop in C, which has none.
/// </summary>
internal sealed unsafe class ExitBenchmark : IBenchmark, IGuestBus
{
    private const int Exits = 100_000;
    private const ulong Code = 0x1000;

    private IVirtualCpu? _vcpu;
    private int _count;

    public string Name => "exits";

    public IEnumerable<Measurement> Run()
    {
        if (!File.Exists("/dev/kvm"))
        {
            return [];
        }

        var (ours, bytes) = Ours();
        double minimal = MinimalExitLoop.PerSecond(Exits);
        return
        [
            new("kvm engine, port handler called", ours, "exits/s", $"{bytes:f1} B an exit"),
            new("minimal loop in C", minimal, "exits/s"),
            new("ratio", minimal / ours, "x"),
        ];
    }

    public uint ReadPort(ushort port, int size) => 0;

    public void WritePort(ushort port, int size, uint value)
    {
        if (++_count % Exits == 0)
        {
            _vcpu!.Kick();
        }
    }

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    private (double PerSecond, double Bytes) Ours()
    {
        using var memory = new GuestMemory();
        memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0));
        // again: out dx, al; jmp again
        memory.TryWrite(new GuestPhysicalAddress(Code), [0xee, 0xeb, 0xfd]);
        using var engine = new KvmEngine(memory, this, new VirtualClock());
        _vcpu = engine.CreateVcpu(0, CpuPlace.Alone);
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        CpuReset.PowerOn(state, bootProcessor: true);
        state->Segments[SegmentIndex.Cs].Base = 0;
        state->Segments[SegmentIndex.Cs].Selector = 0;
        state->Rip = Code;
        state->Gpr[2] = 0x500;
        _vcpu.Load(state);
        NativeMemory.AlignedFree(state);
        _vcpu.Run();
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        _vcpu.Run();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return (Exits / seconds, (GC.GetAllocatedBytesForCurrentThread() - bytes) / (double)Exits);
    }
}
