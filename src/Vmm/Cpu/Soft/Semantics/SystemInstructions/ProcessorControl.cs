using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>HLT, PAUSE, CPUID, cache control, random numbers, FS and GS bases.</summary>
internal static unsafe class ProcessorControl
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    /// <summary>PAUSEs after which a spinning processor lets another one run: it may be the one that is waited for.</summary>
    private const uint PausesPerYield = 32;

    [ThreadStatic]
    private static uint pauses;

    [MethodImpl(Once)]
    public static Operation* Halt(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        Faults.Leave(cpu, op);
        cpu->Outcome = Outcome.Halt;
        return null;
    }

    [MethodImpl(Once)]
    public static Operation* Pause(CpuContext* cpu, Operation* op)
    {
        if (++pauses >= PausesPerYield)
        {
            pauses = 0;
            Thread.Yield();
        }

        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* Identify(CpuContext* cpu, Operation* op)
    {
        var (eax, ebx, ecx, edx) = CpuidPolicy.Read(cpu, (uint)cpu->State.Gpr[0], (uint)cpu->State.Gpr[1]);
        cpu->State.Gpr[0] = eax;
        cpu->State.Gpr[3] = ebx;
        cpu->State.Gpr[1] = ecx;
        cpu->State.Gpr[2] = edx;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* Hypercall(CpuContext* cpu, Operation* op)
    {
        Paravirtualization.KvmHypercalls.Execute(cpu);
        return Faults.Leave(cpu, op);
    }

    /// <summary>Privileged and without effect here: INVD, WBINVD. Caches are always coherent.</summary>
    [MethodImpl(Once)]
    public static Operation* PrivilegedNothing(CpuContext* cpu, Operation* op) =>
        cpu->Cpl != 0 ? Faults.Raise(cpu, op, ExceptionVector.GeneralProtection) : op + 1;

    /// <summary>RDPMC: there are no counters.</summary>
    [MethodImpl(Once)]
    public static Operation* ReadCounter(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);

    /// <summary>RDRAND, RDSEED: carry set for success, the other arithmetic flags clear.</summary>
    [MethodImpl(Once)]
    public static Operation* Random(CpuContext* cpu, Operation* op)
    {
        ulong value = 0;
        RandomBytes.Fill(new Span<byte>(&value, sizeof(ulong)));
        Operand.WriteRegister(cpu, op->Reg0, value, (int)op->Immediate);
        LazyFlags.Write(cpu, RflagsBits.Cf);
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* ReadProcessorId(CpuContext* cpu, Operation* op)
    {
        *(ulong*)((byte*)cpu + op->Reg0) = (uint)cpu->State.Msr.TscAux;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* ReadBase<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if ((cpu->State.Cr4 & Cr4.Fsgsbase) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        Operand.WriteRegister(cpu, op->Reg0, Segments.Register(cpu, (SegmentIndex)op->Segment)->Base, sizeof(TWidth));
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* WriteBase<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if ((cpu->State.Cr4 & Cr4.Fsgsbase) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);
        }

        ulong value = ulong.CreateTruncating(*(TWidth*)((byte*)cpu + op->Reg0));
        if (!SlowAccess.IsCanonicalHere(cpu, value))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        Segments.Register(cpu, (SegmentIndex)op->Segment)->Base = value;
        return op + 1;
    }

    [MethodImpl(Once)]
    public static Operation* SwapGs(CpuContext* cpu, Operation* op)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        var gs = Segments.Register(cpu, SegmentIndex.Gs);
        (gs->Base, cpu->State.Msr.KernelGsBase) = (cpu->State.Msr.KernelGsBase, gs->Base);
        return op + 1;
    }
}
