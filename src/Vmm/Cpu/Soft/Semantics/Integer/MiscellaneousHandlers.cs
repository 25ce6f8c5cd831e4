using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>NOP and hints, fences, cache control, UD, BOUND.</summary>
internal static unsafe class MiscellaneousHandlers
{
    /// <summary>
    /// NOP, ENDBR, PREFETCH, and the load and store fences: loads and stores of the guest are those of the host, which orders them alike.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Nothing(CpuContext* cpu, Operation* op) => Dispatch.Next(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FullFence(CpuContext* cpu, Operation* op)
    {
        Interlocked.MemoryBarrier();
        return Dispatch.Next(cpu, op);
    }

    /// <summary>CLFLUSH, CLFLUSHOPT, CLWB: nothing to flush, but the address must be readable.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FlushLine(CpuContext* cpu, Operation* op) =>
        GuestAccess.TryRead(cpu, op, out byte _) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Undefined(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode);

    /// <summary>BOUND: #BR unless lower bound ≤ index ≤ upper bound, all signed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Bound16(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryRead(cpu, op, out uint bounds))
        {
            return Faults.Faulted(cpu, op);
        }

        short index = RegisterFile.Read<short>(cpu, op->Reg0);
        return index < (short)bounds || index > (short)(bounds >> 16)
            ? Faults.Raise(cpu, op, ExceptionVector.BoundRange)
            : Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Bound32(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryRead(cpu, op, out ulong bounds))
        {
            return Faults.Faulted(cpu, op);
        }

        int index = RegisterFile.Read<int>(cpu, op->Reg0);
        return index < (int)bounds || index > (int)(bounds >> 32)
            ? Faults.Raise(cpu, op, ExceptionVector.BoundRange)
            : Dispatch.Next(cpu, op);
    }
}
