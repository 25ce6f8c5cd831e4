using System.Diagnostics;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Benchmarks;

/// <summary>
/// A processor of the soft engine in 64-bit mode, its first gigabyte mapped to itself, which runs one loop again and again.
/// </summary>
internal sealed unsafe class SoftGuest : IDisposable
{
    /// <summary>Memory from 0 on; what lies behind is the bus's.</summary>
    public const ulong MemorySize = 64 << 20;

    private const ulong PageTables = 0x1000;
    private const ulong SmallPages = 0x5000;
    private const ulong Code = 0x8000;
    private const int Rounds = 20;

    private readonly GuestMemory _memory = new();
    private readonly TimerService _timers;
    private readonly SoftEngine _engine;
    private readonly IVirtualCpu _vcpu;
    private readonly GuestLoop _loop;
    private readonly CpuState* _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);

    /// <param name="bus">Answers; a write to a port is to kick <see cref="Vcpu"/>: the loop has ended.</param>
    public SoftGuest(IGuestBus bus, GuestLoop loop)
    {
        _loop = loop;
        _memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, MemorySize), new GuestPhysicalAddress(0));
        Map();
        var assembler = new Assembler(64);
        loop.Body(assembler);
        assembler.@out(dx, al);
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Code);
        _memory.TryWrite(new GuestPhysicalAddress(Code), code.ToArray());

        var clock = new VirtualClock();
        clock.Start();
        _timers = new TimerService(clock);
        _engine = new SoftEngine(_memory, bus, _timers);
        _vcpu = _engine.CreateVcpu(0, CpuPlace.Alone);
    }

    public IVirtualCpu Vcpu => _vcpu;

    /// <returns>Of the best round: seconds, instructions and allocated bytes.</returns>
    public (double Seconds, long Instructions, long Bytes) Run()
    {
        var best = (Seconds: double.MaxValue, Instructions: 0L, Bytes: long.MaxValue);
        for (int round = 0; round < Rounds; round++)
        {
            SetState(_loop.Iterations);
            _vcpu.Load(_state);
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

            best = (Math.Min(best.Seconds, seconds), _vcpu.Counters.Instructions - before, Math.Min(best.Bytes, bytes));
        }

        return best;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_state);
        _engine.Dispose();
        _timers.Dispose();
        _memory.Dispose();
    }

    /// <summary>
    /// The first gigabyte mapped to itself: memory by pages of 2 MiB, the 2 MiB behind it, where benchmarks have their devices, by small
    /// ones.
    /// </summary>
    private void Map()
    {
        _memory.TryWrite(new GuestPhysicalAddress(PageTables), PageTables + 0x1000 | 3UL);
        _memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x1000), PageTables + 0x2000 | 3UL);
        for (ulong entry = 0; entry < 512; entry++)
        {
            _memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x2000 + (entry * 8)), (entry << 21) | 0x83UL);
            _memory.TryWrite(new GuestPhysicalAddress(SmallPages + (entry * 8)), MemorySize + (entry << 12) | 3UL);
        }

        _memory.TryWrite(new GuestPhysicalAddress(PageTables + 0x2000 + (MemorySize >> 21 << 3)), SmallPages | 3UL);
    }

    private void SetState(ulong iterations)
    {
        var state = _state;
        CpuReset.PowerOn(state, bootProcessor: true);
        const SegmentAttributes common = SegmentAttributes.Accessed | SegmentAttributes.WritableOrReadable | SegmentAttributes.CodeOrData
            | SegmentAttributes.Present | SegmentAttributes.Granularity4K;
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            state->Segments[segment] = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue, Attributes = common
                | SegmentAttributes.Default32 };
        }

        state->Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 8, Limit = uint.MaxValue, Attributes = common
            | SegmentAttributes.Code | SegmentAttributes.Long };
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
