using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>MXCSR, EMMS, VZEROUPPER, VZEROALL.</summary>
internal static unsafe class ControlStatus
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadMxcsr<TAccess>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        if (!GuestAccess.TryRead(cpu, op, out uint value))
        {
            return Faults.Faulted(cpu, op);
        }

        if ((value & ~VectorFeatures.MxcsrMask) != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        cpu->State.Xsave.Mxcsr = value;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreMxcsr<TAccess>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess =>
        !TAccess.IsAllowed(cpu) ? TAccess.Refuse(cpu, op)
        : GuestAccess.TryWrite(cpu, op, cpu->State.Xsave.Mxcsr) ? Dispatch.Next(cpu, op)
        : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Emms(CpuContext* cpu, Operation* op)
    {
        if (!MmxAccess.IsAllowed(cpu))
        {
            return MmxAccess.Refuse(cpu, op);
        }

        X87State.EnterMmx(cpu);
        cpu->State.Xsave.TagWord = 0;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ZeroUpper(CpuContext* cpu, Operation* op)
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        new Span<byte>(cpu->State.Xsave.YmmHigh, 16 * ExtendedStateImage.RegisterCount(op)).Clear();
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ZeroAll(CpuContext* cpu, Operation* op)
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        int bytes = 16 * ExtendedStateImage.RegisterCount(op);
        new Span<byte>(cpu->State.Xsave.Xmm, bytes).Clear();
        new Span<byte>(cpu->State.Xsave.YmmHigh, bytes).Clear();
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Prefetches: a hint that cannot fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Ignore(CpuContext* cpu, Operation* op) => Dispatch.Next(cpu, op);

    /// <summary>MFENCE, LFENCE, SFENCE: a full fence serves all three.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fence(CpuContext* cpu, Operation* op)
    {
        Interlocked.MemoryBarrier();
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MOVNTI: an ordinary store; the hint is about caches only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreInteger<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged =>
        GuestAccess.TryWrite(cpu, op, *(T*)VectorRegisters.Pointer(cpu, op->Reg0)) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);
}
