using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>Loads and stores of selected elements: only those selected are touched, and only they can fault.</summary>
internal static unsafe class MaskedMoves
{
    /// <summary>MASKMOVDQU, VMASKMOVDQU: bytes to DS:[rDI]. Reg0 the source, Reg1 the mask.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreBytes<TAccess>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        return StoreBytes(cpu, op, VectorRegisters.Pointer(cpu, op->Reg0), VectorRegisters.Pointer(cpu, op->Reg1), 16)
            ? op + 1
            : Faults.Faulted(cpu, op);
    }

    /// <summary>MASKMOVQ: the same of MMX registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreMmxBytes(CpuContext* cpu, Operation* op)
    {
        if (!MmxAccess.IsAllowed(cpu))
        {
            return MmxAccess.Refuse(cpu, op);
        }

        // The transition to MMX comes first, even when the store faults.
        X87State.EnterMmx(cpu);
        return StoreBytes(cpu, op, VectorRegisters.Pointer(cpu, op->Reg0), VectorRegisters.Pointer(cpu, op->Reg1), 8)
            ? op + 1
            : Faults.Faulted(cpu, op);
    }

    /// <summary>
    /// VMASKMOVPS and its kind, memory to register. Reg0 the destination, Reg1 the mask, <see cref="Operation.Immediate"/> bytes.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadElements<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        byte* result = stackalloc byte[32];
        new Span<byte>(result, 32).Clear();
        ulong offset = GuestAccess.EffectiveAddress(cpu, op);
        for (int i = 0; i < (int)op->Immediate; i += sizeof(T))
        {
            if (!IsSelected<T>(VectorRegisters.Element(cpu, op->Reg1, i)))
            {
                continue;
            }

            if (!ElementAccess.TryRead(cpu, op, offset + (ulong)i, out T value))
            {
                return Faults.Faulted(cpu, op);
            }

            *(T*)(result + i) = value;
        }

        VectorRegisters.Write(cpu, op->Reg0, result);
        return op + 1;
    }

    /// <summary>Register to memory. Reg0 the mask, Reg1 the source.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreElements<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        ulong offset = GuestAccess.EffectiveAddress(cpu, op);

        // All of them or none.
        for (int i = 0; i < (int)op->Immediate; i += sizeof(T))
        {
            if (IsSelected<T>(VectorRegisters.Element(cpu, op->Reg0, i)) && !ElementAccess.TryTouch<T>(cpu, op, offset + (ulong)i))
            {
                return Faults.Faulted(cpu, op);
            }
        }

        for (int i = 0; i < (int)op->Immediate; i += sizeof(T))
        {
            if (IsSelected<T>(VectorRegisters.Element(cpu, op->Reg0, i))
                && !ElementAccess.TryWrite(cpu, op, offset + (ulong)i, *(T*)VectorRegisters.Element(cpu, op->Reg1, i)))
            {
                return Faults.Faulted(cpu, op);
            }
        }

        return op + 1;
    }

    private static bool StoreBytes(CpuContext* cpu, Operation* op, byte* source, byte* mask, int count)
    {
        ulong offset = cpu->State.Gpr[7];
        for (int i = 0; i < count; i++)
        {
            if ((mask[i] & 0x80) != 0
                && !GuestAccess.TryWriteAt(cpu, op, (SegmentIndex)op->Segment, ElementAccess.Wrap(op, offset + (ulong)i), source[i]))
            {
                ReportOperand(cpu, i);
                return false;
            }
        }

        return true;
    }

    /// <summary>CR2 is to name the operand (or where it enters the faulting page), not the element at <paramref name="offset"/>.</summary>
    private static void ReportOperand(CpuContext* cpu, int offset)
    {
        if (cpu->Exception == ExceptionVector.PageFault)
        {
            ulong page = cpu->ExceptionAddress & ~0xfffUL;
            cpu->ExceptionAddress = Math.Max(page, cpu->ExceptionAddress - (ulong)offset);
        }
    }

    private static bool IsSelected<T>(byte* mask)
        where T : unmanaged => (mask[sizeof(T) - 1] & 0x80) != 0;
}
