using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>MOV, PUSH and POP of segment registers, LDS and its kind, LAR, LSL, VERR, VERW, ARPL.</summary>
internal static unsafe class SegmentInstructions
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    /// <summary>MOV r/m, Sreg: the register named by Reg1; 16 bits to memory, the operand size to a register.</summary>
    [MethodImpl(Once)]
    public static Operation* MoveFrom(CpuContext* cpu, Operation* op) =>
        Operand.Store(cpu, op, Segments.Register(cpu, (SegmentIndex)op->Reg1)->Selector);

    /// <summary>MOV Sreg, r/m: the segment in Reg1, a source register in Reg0.</summary>
    [MethodImpl(Once)]
    public static Operation* MoveTo(CpuContext* cpu, Operation* op)
    {
        if (!Operand.TryRead16(cpu, op, out ushort selector) || !SegmentLoad.TryLoad(cpu, (SegmentIndex)op->Reg1, selector))
        {
            return Faults.Faulted(cpu, op);
        }

        return AfterLoad(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* Push<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth> =>
        GuestAccess.TryPush(cpu, op, TWidth.CreateTruncating(Segments.Register(cpu, (SegmentIndex)op->Reg1)->Selector))
            ? op + 1
            : Faults.Faulted(cpu, op);

    [MethodImpl(Once)]
    public static Operation* Pop<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong stack = cpu->State.Gpr[4];
        if (!GuestAccess.TryPop(cpu, op, out TWidth value))
        {
            return Faults.Faulted(cpu, op);
        }

        if (!SegmentLoad.TryLoad(cpu, (SegmentIndex)op->Reg1, ushort.CreateTruncating(value)))
        {
            cpu->State.Gpr[4] = stack;
            return Faults.Faulted(cpu, op);
        }

        return AfterLoad(cpu, op);
    }

    /// <summary>LDS, LES, LFS, LGS, LSS: offset to register Reg0, selector to the segment in Reg1.</summary>
    [MethodImpl(Once)]
    public static Operation* LoadPointer<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        ulong address = GuestAccess.EffectiveAddress(cpu, op);
        ulong above = address + (ulong)sizeof(TWidth);
        above = (op->Flags & OperationFlags.Address16) != 0
            ? (ushort)above
            : (op->Flags & OperationFlags.Address32) != 0 ? (uint)above : above;
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, address, out TWidth offset)
            || !GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, above, out ushort selector)
            || !SegmentLoad.TryLoad(cpu, (SegmentIndex)op->Reg1, selector))
        {
            return Faults.Faulted(cpu, op);
        }

        Operand.WriteRegister(cpu, op->Reg0, ulong.CreateTruncating(offset), sizeof(TWidth));
        return (SegmentIndex)op->Reg1 == SegmentIndex.Ss ? LeaveRenewed(cpu, op) : AfterLoad(cpu, op);
    }

    /// <summary>
    /// LAR: access rights of a visible segment to Reg0; the selector in register Reg1 or memory. <see cref="Operation.Immediate"/>: operand
    /// size.
    /// </summary>
    [MethodImpl(Once)]
    public static Operation* LoadAccessRights(CpuContext* cpu, Operation* op) => Inspect(cpu, op, limit: false);

    /// <summary>LSL.</summary>
    [MethodImpl(Once)]
    public static Operation* LoadLimit(CpuContext* cpu, Operation* op) => Inspect(cpu, op, limit: true);

    [MethodImpl(Once)]
    public static Operation* VerifyRead(CpuContext* cpu, Operation* op) => Verify(cpu, op, write: false);

    [MethodImpl(Once)]
    public static Operation* VerifyWrite(CpuContext* cpu, Operation* op) => Verify(cpu, op, write: true);

    /// <summary>ARPL r/m16, r16: raises the RPL of the first to that of the second (Reg1).</summary>
    [MethodImpl(Once)]
    public static Operation* AdjustRpl(CpuContext* cpu, Operation* op)
    {
        if (!Operand.TryRead16(cpu, op, out ushort destination))
        {
            return Faults.Faulted(cpu, op);
        }

        ushort source = *(ushort*)((byte*)cpu + op->Reg1);
        bool raises = (destination & 3) < (source & 3);
        ushort result = (ushort)(raises ? (destination & ~3) | (source & 3) : destination);
        if (op->Reg2 == Operand.IsRegister)
        {
            *(ushort*)((byte*)cpu + op->Reg0) = result;
        }
        else if (raises && !GuestAccess.TryWrite(cpu, op, result))
        {
            return Faults.Faulted(cpu, op);
        }

        SetZero(cpu, raises);
        return op + 1;
    }

    private static Operation* AfterLoad(CpuContext* cpu, Operation* op)
    {
        if ((SegmentIndex)op->Reg1 == SegmentIndex.Ss)
        {
            // Interrupts and debug traps stay away for one instruction, which sets the stack pointer (SDM Vol. 3A §6.8.3).
            cpu->State.InterruptShadow = 2;
            return LeaveRenewed(cpu, op);
        }

        if ((op->Flags & OperationFlags.Long) != 0)
        {
            return op + 1;
        }

        // Whether data segments are flat is part of the mode that the following instructions were decoded for.
        uint mode = cpu->Mode;
        ProcessorMode.Update(cpu);
        return mode == cpu->Mode ? op + 1 : Faults.Leave(cpu, op);
    }

    private static Operation* LeaveRenewed(CpuContext* cpu, Operation* op)
    {
        ProcessorMode.Update(cpu);
        return Faults.Leave(cpu, op);
    }

    private static Operation* Inspect(CpuContext* cpu, Operation* op, bool limit)
    {
        ushort selector;
        if (op->Reg2 == Operand.IsRegister)
        {
            selector = *(ushort*)((byte*)cpu + op->Reg1);
        }
        else if (!GuestAccess.TryRead(cpu, op, out selector))
        {
            return Faults.Faulted(cpu, op);
        }

        if (!TryInspect(cpu, selector, out var descriptor, out bool visible))
        {
            return Faults.Faulted(cpu, op);
        }

        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        visible = visible
            && (descriptor.IsCodeOrData || (limit ? HasLimit(descriptor.Type, longMode) : HasRights(descriptor.Type, longMode)));
        if (visible)
        {
            ulong value = limit ? descriptor.Limit : (uint)(descriptor.Low >> 32) & 0x00f0_ff00;
            Operand.WriteRegister(cpu, op->Reg0, value, (int)op->Immediate);
        }

        SetZero(cpu, visible);
        return op + 1;
    }

    private static bool HasLimit(int type, bool longMode) => longMode ? type is 2 or 9 or 11 : type is 1 or 2 or 3 or 9 or 11;

    private static bool HasRights(int type, bool longMode) =>
        longMode ? type is 2 or 9 or 11 or 12 : type is 1 or 2 or 3 or 4 or 5 or 9 or 11 or 12;

    private static Operation* Verify(CpuContext* cpu, Operation* op, bool write)
    {
        if (!Operand.TryRead16(cpu, op, out ushort selector) || !TryInspect(cpu, selector, out var descriptor, out bool visible))
        {
            return Faults.Faulted(cpu, op);
        }

        SetZero(cpu, visible && (write ? descriptor.IsWritable : descriptor.IsReadable));
        return op + 1;
    }

    /// <summary>Reads a descriptor and tells whether this privilege may see it. False: page fault.</summary>
    private static bool TryInspect(CpuContext* cpu, ushort selector, out Descriptor descriptor, out bool visible)
    {
        descriptor = default;
        visible = false;
        if ((selector & ~3) == 0)
        {
            return true;
        }

        if (!DescriptorTables.TryRead(cpu, selector, out descriptor, out bool inTable))
        {
            return false;
        }

        bool conforming = descriptor.IsCode && descriptor.IsConforming;
        visible = inTable && (conforming || (cpu->Cpl <= descriptor.Dpl && (selector & 3) <= descriptor.Dpl));
        return true;
    }

    private static void SetZero(CpuContext* cpu, bool zero)
    {
        ulong flags = LazyFlags.Read(cpu) & ~RflagsBits.Zf;
        LazyFlags.Write(cpu, zero ? flags | RflagsBits.Zf : flags);
    }
}
