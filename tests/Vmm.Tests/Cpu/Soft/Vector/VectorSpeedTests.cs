using System.Diagnostics;
using Iced.Intel;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Cpu.Differential;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Vector;

/// <summary>Prints what kinds of vector and x87 instructions cost in the soft engine; it asserts nothing.</summary>
public sealed class VectorSpeedTests(ITestOutputHelper output) : IDisposable
{
    private const int Repetitions = 16;
    private const int Iterations = 400_000;

    private readonly SoftRing3Machine _machine = new();

    [Fact(Explicit = true)]
    public void Cost_of_instructions()
    {
        Measure("add rax, rbx", a => a.add(rax, rbx));
        Measure("movdqu xmm0, [rsi]", a => a.movdqu(xmm0, __[rsi]));
        Measure("movdqa [rsi], xmm0", a => a.movdqa(__[rsi], xmm0));
        Measure("pxor xmm1, xmm0", a => a.pxor(xmm1, xmm0));
        Measure("pmovmskb eax, xmm0", a => a.pmovmskb(eax, xmm0));
        Measure("vmovdqu ymm0, [rsi]", a => a.vmovdqu(ymm0, __[rsi]));
        Measure("paddd xmm1, xmm0 (stub)", a => a.paddd(xmm1, xmm0));
        Measure("paddd xmm1, [rsi] (stub)", a => a.paddd(xmm1, __[rsi]));
        Measure("vpaddd ymm1, ymm1, ymm0 (stub)", a => a.vpaddd(ymm1, ymm1, ymm0));
        Measure("addsd xmm1, xmm0 (stub, MXCSR)", a => a.addsd(xmm1, xmm0));
        Measure("cvtsi2sd xmm1, rax (stub, MXCSR)", a => a.cvtsi2sd(xmm1, rax));
        Measure("ucomisd xmm1, xmm0 (stub, flags)", a => a.ucomisd(xmm1, xmm0));
        Measure("paddb mm1, mm0 (stub)", a => a.paddb(mm1, mm0));
        Measure("fadd st0, st1 (stub)", a => a.fadd(st0, st1));
        Measure("fxsave64 [rsi]", a => a.fxsave64(__[rsi]));
        Measure("xsave [rsi]", a => a.xsave(__[rsi]));
    }

    public void Dispose() => _machine.Dispose();

    private void Measure(string name, Action<Assembler> write)
    {
        var assembler = new Assembler(64);
        Label again = assembler.CreateLabel();
        assembler.Label(ref again);
        for (int i = 0; i < Repetitions; i++)
        {
            write(assembler);
        }

        assembler.dec(rcx);
        assembler.jnz(again);
        assembler.ud2();
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Ring3Layout.Code);
        _machine.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), code.ToArray());
        double best = double.MaxValue;
        for (int round = 0; round < 3; round++)
        {
            var state = new Ring3State { Rip = Ring3Layout.Code };
            state.Gpr[0] = 7;
            state.Gpr[1] = Iterations / Repetitions;
            state.Gpr[6] = Ring3Layout.Data;
            BitConverter.TryWriteBytes(state.Xsave, (ushort)0x37f);
            BitConverter.TryWriteBytes(state.Xsave.AsSpan(24), 0x1f80u);
            state.Xsave[4] = 0xff;
            long start = Stopwatch.GetTimestamp();
            _machine.Run(state);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / Iterations);
        }

        output.WriteLine($"{name,-34} {best,7:F1} ns");
    }
}
