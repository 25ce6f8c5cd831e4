using System.Diagnostics;
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
    private const ulong Data = 0x100_0000;
    private const int Rounds = 5;

    /// <summary>Bytes that the memory-bound loop walks: more than the caches next to a core hold.</summary>
    private const int Footprint = 32 << 20;

    private IVirtualCpu? _vcpu;

    public string Name => "interpreter";

    public IEnumerable<Measurement> Run() =>
    [
        .. Measure("integer loop", 6_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.add(rax, rbx);
            assembler.xor(rbx, rax);
            assembler.rol(rax, 5);
            assembler.imul(rdx, rax, 77);
            assembler.lea(rsi, __[rdx + (rbx * 2) + 9]);
            assembler.shr(rsi, 3);
            assembler.sub(rbx, rsi);
            assembler.dec(rcx);
            assembler.jnz(loop);
        }),
        .. Measure("memory loop, a line of 32 MiB each time", 6_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.mov(rax, __[rdi + rsi]);
            assembler.add(__[rdi + rsi + 8], rcx);
            assembler.add(rax, rcx);
            assembler.mov(__[rdi + rsi + 16], rax);
            assembler.add(rsi, 64 + 4096);
            assembler.and(rsi, Footprint - 1);
            assembler.dec(rcx);
            assembler.jnz(loop);
        }),
        .. Measure("calls and stack", 3_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            var function = assembler.CreateLabel();
            var end = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.push(rcx);
            assembler.call(function);
            assembler.pop(rcx);
            assembler.dec(rcx);
            assembler.jnz(loop);
            assembler.jmp(end);
            assembler.Label(ref function);
            assembler.push(rbp);
            assembler.mov(rbp, rsp);
            assembler.add(rax, 3);
            assembler.pop(rbp);
            assembler.ret();
            assembler.Label(ref end);
            assembler.nop();
        }),
    ];

    public uint ReadPort(ushort port, int size) => 0;

    /// <summary>The guest is done.</summary>
    public void WritePort(ushort port, int size, uint value) => _vcpu!.Kick();

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    private List<Measurement> Measure(string what, ulong iterations, Action<Assembler> body)
    {
        using var memory = new GuestMemory();
        memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, 64 << 20), new GuestPhysicalAddress(0));
        Map(memory);
        var assembler = new Assembler(64);
        body(assembler);
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
                SetState(state, iterations);
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

            return [new(what, best, "MIPS", $"{allocated:f1} B per million instructions")];
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
        state->Gpr[4] = Data - 0x1000;
        state->Gpr[7] = Data;
        state->Gpr[6] = 0;
    }
}
