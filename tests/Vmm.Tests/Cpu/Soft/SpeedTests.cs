using System.Diagnostics;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Figures, not assertions: run explicitly.</summary>
public sealed unsafe class SpeedTests
{
    [Fact(Explicit = true)]
    public void Integer_loop() => Measure("integer loop", 20_000_000, a =>
    {
        var again = a.CreateLabel();
        a.Label(ref again);
        a.add(rax, rcx);
        a.xor(rdx, rax);
        a.lea(rbx, __[rax + rdx * 2 + 5]);
        a.cmp(rbx, rsi);
        a.sub(rcx, 1);
        a.jne(again);
        a.hlt();
    }, 6);

    [Fact(Explicit = true)]
    public void Memory_loop() => Measure("load/store loop", 20_000_000, a =>
    {
        var again = a.CreateLabel();
        a.Label(ref again);
        a.mov(rax, __[rdi]);
        a.add(rax, rcx);
        a.mov(__[rdi], rax);
        a.cmp(rax, rsi);
        a.dec(rcx);
        a.jne(again);
        a.hlt();
    }, 6);

    [Fact(Explicit = true)]
    public void Call_loop() => Measure("call/return loop", 10_000_000, a =>
    {
        var again = a.CreateLabel();
        var routine = a.CreateLabel();
        a.Label(ref again);
        a.call(routine);
        a.sub(rcx, 1);
        a.jne(again);
        a.hlt();
        for (int i = 0; i < 4096; i++)
        {
            a.nop();
        }

        a.Label(ref routine);
        a.push(rbx);
        a.mov(rbx, rcx);
        a.pop(rbx);
        a.ret();
    }, 7);

    [Fact(Explicit = true)]
    public void Protected_mode_memory_loop() => Measure("32-bit load/store loop", 20_000_000, a =>
    {
        var again = a.CreateLabel();
        a.Label(ref again);
        a.mov(eax, __[edi]);
        a.add(eax, ecx);
        a.mov(__[edi], eax);
        a.push(eax);
        a.pop(edx);
        a.dec(ecx);
        a.jne(again);
        a.hlt();
    }, 7, bitness: 32);

    [Fact(Explicit = true)]
    public void Segment_base_loop() => Measure("GS-relative loop", 20_000_000, a =>
    {
        var again = a.CreateLabel();
        a.Label(ref again);
        a.mov(rax, __qword_ptr.gs[rdi]);
        a.mov(__qword_ptr.gs[rdi + 8], rax);
        a.dec(rcx);
        a.jne(again);
        a.hlt();
    }, 4);

    private static void Measure(string name, ulong iterations, Action<Assembler> program, int instructions, int bitness = 64)
    {
        using var machine = new LongModeProcessor();
        machine.Place(program, bitness: bitness);
        if (bitness == 32)
        {
            machine.Cpu->State.Segments[WebVm.Vmm.Cpu.State.SegmentIndex.Cs].Attributes = (WebVm.Vmm.Cpu.State.SegmentAttributes)0xc09b;
            machine.Vcpu.StateReplaced();
        }

        for (int round = 0; round < 2; round++)
        {
            machine.Cpu->State.Rip = LongModeProcessor.Code;
            machine.Cpu->State.Activity = 0;
            machine.Gpr(1) = round == 0 ? 100_000 : iterations;
            machine.Gpr(7) = LongModeProcessor.Data;
            ulong before = machine.Cpu->Instructions;
            long start = Stopwatch.GetTimestamp();
            machine.RunToHalt();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            ulong count = machine.Cpu->Instructions - before;
            if (round == 1)
            {
                Console.Error.WriteLine(
                    $"{name}: {count / seconds / 1e6:F0} MIPS ({seconds / iterations * 1e9:F2} ns per round of {instructions})");
            }
        }
    }
}
