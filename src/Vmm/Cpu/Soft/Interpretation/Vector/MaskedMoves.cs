using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.Soft.Exceptions;
using WebVm.Vmm.Cpu.Soft.Interpretation.X87;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Vector;

/// <summary>Loads and stores of selected elements: only those selected are touched, and only they can fault.</summary>
internal static unsafe class MaskedMoves
{
    /// <summary>MASKMOVDQU, VMASKMOVDQU: bytes to DS:[rDI]. Reg0 the source, Reg1 the mask.</summary>
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
    public static Operation* StoreMmxBytes(CpuContext* cpu, Operation* op)
    {
        if (!MmxAccess.IsAllowed(cpu))
        {
            return MmxAccess.Refuse(cpu, op);
        }

        byte* source = MmxRegister(cpu, op->Reg0);
        byte* mask = MmxRegister(cpu, op->Reg1);
        if (!StoreBytes(cpu, op, source, mask, 8))
        {
            return Faults.Faulted(cpu, op);
        }

        X87State.EnterMmx(cpu);
        return op + 1;
    }

    /// <summary>VMASKMOVPS and its kind, memory to register. Reg0 the destination, Reg1 the mask, <see cref="Operation.Immediate"/> bytes.</summary>
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

            if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset + (ulong)i), out T value))
            {
                return Fault(cpu, op, i);
            }

            *(T*)(result + i) = value;
        }

        VectorRegisters.Write(cpu, op->Reg0, result);
        return op + 1;
    }

    /// <summary>Register to memory. Reg0 the mask, Reg1 the source.</summary>
    public static Operation* StoreElements<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!AvxAccess.IsAllowed(cpu))
        {
            return AvxAccess.Refuse(cpu, op);
        }

        ulong offset = GuestAccess.EffectiveAddress(cpu, op);
        for (int i = 0; i < (int)op->Immediate; i += sizeof(T))
        {
            if (IsSelected<T>(VectorRegisters.Element(cpu, op->Reg0, i))
                && !GuestAccess.TryWriteAt(
                    cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset + (ulong)i), *(T*)VectorRegisters.Element(cpu, op->Reg1, i)))
            {
                return Fault(cpu, op, i);
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
                && !GuestAccess.TryWriteAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset + (ulong)i), source[i]))
            {
                ReportOperand(cpu, i);
                return false;
            }
        }

        return true;
    }

    private static Operation* Fault(CpuContext* cpu, Operation* op, int element)
    {
        ReportOperand(cpu, element);
        return Faults.Faulted(cpu, op);
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

    private static byte* MmxRegister(CpuContext* cpu, byte slot)
    {
        int physical = (slot - VectorRegisters.FirstMmxSlot) / 2;
        return cpu->State.Xsave.St + (((physical - X87State.Top(cpu)) & 7) * 16);
    }

    private static ulong Wrap(Operation* op, ulong offset) =>
        (op->Flags & OperationFlags.Address32) != 0 ? (uint)offset
        : (op->Flags & OperationFlags.Address16) != 0 ? (ushort)offset
        : offset;
}
