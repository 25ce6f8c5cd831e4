using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Handlers of MMX, SSE and AVX forms that execute as host stubs. The stub never touches guest memory: the handler reads the memory
/// operand before, or writes it after, so faults are exact and nothing is half done.
/// </summary>
internal static unsafe class StubHandlers
{
    /// <summary>All operands are registers (the fourth in <see cref="Operation.Base"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Registers<TAccess>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        var form = (VectorForm*)op->Immediate;
        form->Stub(
            VectorRegisters.Pointer(cpu, op->Reg0),
            VectorRegisters.Pointer(cpu, op->Reg1),
            VectorRegisters.Pointer(cpu, op->Reg2),
            VectorRegisters.Pointer(cpu, op->Base),
            &cpu->Vector,
            cpu);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>As <see cref="Registers"/>, for forms with side effects besides their destination: MXCSR, flags, MMX tags.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegistersWithEffects<TAccess>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess =>
        TAccess.IsAllowed(cpu)
            ? Execute(
                cpu,
                op,
                VectorRegisters.Pointer(cpu, op->Reg0),
                VectorRegisters.Pointer(cpu, op->Reg1),
                VectorRegisters.Pointer(cpu, op->Reg2),
                VectorRegisters.Pointer(cpu, op->Base))
            : TAccess.Refuse(cpu, op);

    /// <summary>One operand, not the first, is read from memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Load<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        var form = (VectorForm*)op->Immediate;
        if (form->AlignmentMask != 0 && !GuestAccess.CheckAligned(cpu, op, form->AlignmentMask + 1u))
        {
            return Faults.Faulted(cpu, op);
        }

        if (!GuestAccess.TryRead(cpu, op, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        byte* memory = cpu->Vector.Memory;
        Unsafe.WriteUnaligned(memory, value);
        byte* operand0 = VectorRegisters.Pointer(cpu, op->Reg0);
        byte* operand1;
        byte* operand2;
        byte* operand3;
        if (form->MemoryOperand == 1)
        {
            operand1 = memory;
            operand2 = VectorRegisters.Pointer(cpu, op->Reg1);
            operand3 = VectorRegisters.Pointer(cpu, op->Reg2);
        }
        else
        {
            operand1 = VectorRegisters.Pointer(cpu, op->Reg1);
            operand2 = form->MemoryOperand == 2 ? memory : VectorRegisters.Pointer(cpu, op->Reg2);
            operand3 = form->MemoryOperand == 3 ? memory : VectorRegisters.Pointer(cpu, op->Reg2);
        }

        if ((form->Flags & (VectorFormFlags.Float | VectorFormFlags.Mmx | VectorFormFlags.WritesFlags)) != 0)
        {
            return Execute(cpu, op, operand0, operand1, operand2, operand3);
        }

        form->Stub(operand0, operand1, operand2, operand3, &cpu->Vector, cpu);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>The first operand is in memory and only written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Store<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        var form = (VectorForm*)op->Immediate;
        if (form->AlignmentMask != 0 && !GuestAccess.CheckAligned(cpu, op, form->AlignmentMask + 1u))
        {
            return Faults.Faulted(cpu, op);
        }

        uint mxcsr = cpu->State.Xsave.Mxcsr;
        byte* memory = cpu->Vector.Memory;
        byte* operand1 = VectorRegisters.Pointer(cpu, op->Reg0);
        byte* operand2 = VectorRegisters.Pointer(cpu, op->Reg1);
        if ((form->Flags & VectorFormFlags.Float) != 0)
        {
            // A store that an exception may suppress still needs memory to store to.
            if (!SimdFault.AllMaskedBy(mxcsr) && !GuestAccess.TryTouch<T>(cpu, op))
            {
                return Faults.Faulted(cpu, op);
            }

            if (!SimdFault.TryCall(cpu, form, memory, operand1, operand2, memory))
            {
                return SimdFault.Raise(cpu, op);
            }
        }
        else
        {
            if ((form->Flags & VectorFormFlags.Mmx) != 0)
            {
                // The transition to MMX is part of the instruction, so it waits for the store: an unaffected copy is what gets stored.
                return StoreMmx<T>(cpu, op);
            }

            form->Stub(memory, operand1, operand2, memory, &cpu->Vector, cpu);
        }

        if (!GuestAccess.TryWrite(cpu, op, Unsafe.ReadUnaligned<T>(memory)))
        {
            cpu->State.Xsave.Mxcsr = mxcsr;
            return Faults.Faulted(cpu, op);
        }

        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Operation* StoreMmx<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        // MOVD, MOVQ and MOVNTQ store the register's low bytes. Its slot depends on TOP, which an MMX instruction resets.
        int physical = (op->Reg0 - VectorRegisters.FirstMmxSlot) / 2;
        byte* register = cpu->State.Xsave.St + (((physical - X87State.Top(cpu)) & 7) * 16);
        if (!GuestAccess.TryWrite(cpu, op, Unsafe.ReadUnaligned<T>(register)))
        {
            return Faults.Faulted(cpu, op);
        }

        X87State.EnterMmx(cpu);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Operation* Execute(CpuContext* cpu, Operation* op, byte* operand0, byte* operand1, byte* operand2, byte* operand3)
    {
        var form = (VectorForm*)op->Immediate;
        VectorFormFlags flags = form->Flags;
        if ((flags & VectorFormFlags.Mmx) != 0)
        {
            X87State.EnterMmx(cpu);
        }

        if ((flags & VectorFormFlags.Float) == 0)
        {
            form->Stub(operand0, operand1, operand2, operand3, &cpu->Vector, cpu);
        }
        else if (!SimdFault.TryCall(cpu, form, operand0, operand1, operand2, operand3))
        {
            return SimdFault.Raise(cpu, op);
        }

        if ((flags & VectorFormFlags.WritesFlags) != 0)
        {
            LazyFlags.Write(cpu, cpu->Vector.Flags);
        }

        if ((flags & VectorFormFlags.MmxDestination) != 0)
        {
            // The aliased x87 register becomes a NaN (SDM Vol. 1 §9.2.2).
            *(ushort*)(operand0 + 8) = 0xffff;
        }

        return Dispatch.Next(cpu, op);
    }
}
