using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Benchmarks;

/// <summary>Guest instructions a second of the soft engine, on loops of 64-bit code with paging, and what they allocate.</summary>
internal sealed unsafe class InterpreterBenchmark : IBenchmark, IGuestBus
{
    private const ulong PageTables = 0x1000;
    private const ulong Code = 0x8000;
    private const int Rounds = 5;

    private IVirtualCpu? _vcpu;

    public string Name => "interpreter";

    public IEnumerable<Measurement> Run()
    {
        foreach (var loop in GuestLoop.All)
        {
            var ours = Measure(loop);
            double theirs = QemuLoop.MeasureMips(loop);
            yield return ours;
            yield return new Measurement("  QEMU -accel tcg, the same", theirs, "MIPS", string.Create(CultureInfo.InvariantCulture, $"{theirs / ours.Value:f1} times ours"));
        }
    }

    public uint ReadPort(ushort port, int size) => 0;

    /// <summary>The guest is done.</summary>
    public void WritePort(ushort port, int size, uint value) => _vcpu!.Kick();

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    private Measurement Measure(GuestLoop loop)
    {
        using var memory = new GuestMemory();
        memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, 64 << 20), new GuestPhysicalAddress(0));
        Map(memory);
        var assembler = new Assembler(64);
        loop.Body(assembler);
        assembler.@out(dx, al);
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Code);
        memory.TryWrite(new GuestPhysicalAddress(Code), code.ToArray());

        var clock = new VirtualClock();
        clock.Start();
        using var timers = new TimerService(clock);
        using var engine = new SoftEngine(memory, this, timers);
        _vcpu = engine.CreateVcpu(0, CpuPlace.Alone);
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        try
        {
            double best = 0;
            double allocated = double.MaxValue;
            for (int round = 0; round < Rounds; round++)
            {
                SetState(state, loop.Iterations);
                _vcpu.Load(state);
                long before = _vcpu.Counters.Instructions;
                long bytes = GC.GetAllocatedBytesForCurrentThread();
                long start = Stopwatch.GetTimestamp();
                var exit = _vcpu.Run();
                double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
                bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
                if (exit != VcpuExit.Kicked)
                {
                    throw new InvalidOperationException($"The loop ended by {exit}: {_vcpu.Failure}");
                }

                double millions = (_vcpu.Counters.Instructions - before) / 1e6;
                best = Math.Max(best, millions / seconds);
                allocated = Math.Min(allocated, bytes / millions);
            }

            return new(loop.Name, best, "MIPS", $"{allocated:f1} B per million instructions");
        }
        finally
        {
            NativeMemory.AlignedFree(state);
        }
    }

    /// <summary>The first gigabyte mapped to itself by pages of 2 MiB.</summary>
    private static void Map(GuestMemory memory)
    {
        memory.TryWrite(new GuestPhysicalAddress(PageTables), PageTables + 0x1000 | 3UL);
        memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x1000), PageTables + 0x2000 | 3UL);
        for (ulong entry = 0; entry < 512; entry++)
        {
            memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x2000 + (entry * 8)), (entry << 21) | 0x83UL);
        }
    }

    private static void SetState(CpuState* state, ulong iterations)
    {
        CpuReset.PowerOn(state, bootProcessor: true);
        const SegmentAttributes common = SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable | SegmentAttributes.CodeOrData
            | SegmentAttributes.Present | SegmentAttributes.Granularity4K;
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            state->Segments[segment] = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue, Attributes = common | SegmentAttributes.Default32 };
        }

        state->Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 8, Limit = uint.MaxValue, Attributes = common | SegmentAttributes.Code | SegmentAttributes.Long };
        state->Cr0 = 0x8000_0011;
        state->Cr3 = PageTables;
        state->Cr4 = 0x20;
        state->Efer = 0x500;
        state->Rip = Code;
        state->Gpr[1] = iterations;
        state->Gpr[4] = GuestLoop.Data - 0x1000;
        state->Gpr[7] = GuestLoop.Data;
        state->Gpr[6] = 0;
    }
}
