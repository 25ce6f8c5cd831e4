using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR (SDM Vol. 3A §2.4).</summary>
internal static unsafe class DescriptorTableInstructions
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* LoadGlobal(CpuContext* cpu, Operation* op) => Load(cpu, op, ref cpu->State.Gdtr);

    [MethodImpl(Once)]
    public static Operation* LoadInterrupt(CpuContext* cpu, Operation* op) => Load(cpu, op, ref cpu->State.Idtr);

    [MethodImpl(Once)]
    public static Operation* StoreGlobal(CpuContext* cpu, Operation* op) => Store(cpu, op, in cpu->State.Gdtr);

    [MethodImpl(Once)]
    public static Operation* StoreInterrupt(CpuContext* cpu, Operation* op) => Store(cpu, op, in cpu->State.Idtr);

    [MethodImpl(Once)]
    public static Operation* StoreLocal(CpuContext* cpu, Operation* op) => StoreSelector(cpu, op, SegmentIndex.Ldtr);

    [MethodImpl(Once)]
    public static Operation* StoreTask(CpuContext* cpu, Operation* op) => StoreSelector(cpu, op, SegmentIndex.Tr);

    [MethodImpl(Once)]
    public static Operation* LoadLocal(CpuContext* cpu, Operation* op)
    {
        if (!TryBegin(cpu, op, out ushort selector))
        {
            return Faults.Faulted(cpu, op);
        }

        if ((selector & ~3) == 0)
        {
            SegmentLoad.LoadNull(cpu, SegmentIndex.Ldtr, selector);
            return op + 1;
        }

        return TryLoadSystem(cpu, selector, SegmentIndex.Ldtr, busy: false) ? op + 1 : Faults.Faulted(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* LoadTask(CpuContext* cpu, Operation* op)
    {
        if (!TryBegin(cpu, op, out ushort selector))
        {
            return Faults.Faulted(cpu, op);
        }

        if ((selector & ~3) == 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        return TryLoadSystem(cpu, selector, SegmentIndex.Tr, busy: true) ? op + 1 : Faults.Faulted(cpu, op);
    }

    private static bool TryBegin(CpuContext* cpu, Operation* op, out ushort selector)
    {
        selector = 0;
        if (cpu->Cpl != 0)
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        return Operand.TryRead16(cpu, op, out selector);
    }

    private static bool TryLoadSystem(CpuContext* cpu, ushort selector, SegmentIndex segment, bool busy)
    {
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        uint error = (uint)selector & ~3u;
        if (!DescriptorTables.TryReadSystem(cpu, selector, out var descriptor, out bool inTable))
        {
            return false;
        }

        bool rightType = !descriptor.IsCodeOrData
            && (segment == SegmentIndex.Ldtr ? descriptor.Type == 2 : descriptor.Type == 9 || (descriptor.Type == 1 && !longMode));
        if (!inTable || (selector & 4) != 0 || !rightType || (longMode && !SlowAccess.IsCanonicalHere(cpu, descriptor.LongBase)))
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection, error);
            return false;
        }

        if (!descriptor.IsPresent)
        {
            Faults.Record(cpu, ExceptionVector.SegmentNotPresent, error);
            return false;
        }

        var register = Segments.Register(cpu, segment);
        if (busy)
        {
            _ = DescriptorTables.TryLocate(cpu, selector, 8, out ulong address);
            descriptor = descriptor with { Low = descriptor.Low | (1UL << 41) };
            if (!SlowAccess.TryWriteSystem(cpu, new(address + 5), (byte)(descriptor.Low >> 40)))
            {
                return false;
            }
        }

        descriptor.LoadSystem(register, selector, longMode);
        return true;
    }

    private static Operation* Load(CpuContext* cpu, Operation* op, ref DescriptorTableRegister register)
    {
        if (cpu->Cpl != 0)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        bool longMode = (op->Flags & OperationFlags.Long) != 0;
        ulong address = GuestAccess.EffectiveAddress(cpu, op);
        ulong start = 0;
        uint start32 = 0;
        var segment = (SegmentIndex)op->Segment;
        if (!GuestAccess.TryReadAt(cpu, op, segment, address, out ushort limit)
            || !(longMode
                ? GuestAccess.TryReadAt(cpu, op, segment, address + 2, out start)
                : GuestAccess.TryReadAt(cpu, op, segment, address + 2, out start32)))
        {
            return Faults.Faulted(cpu, op);
        }

        if (longMode && !SlowAccess.IsCanonicalHere(cpu, start))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        // With a 16-bit operand size only 24 bits of the base count.
        register.Base = longMode ? start : (op->Flags & OperationFlags.Operand16) != 0 ? start32 & 0xff_ffff : start32;
        register.Limit = limit;
        return op + 1;
    }

    private static Operation* Store(CpuContext* cpu, Operation* op, in DescriptorTableRegister register)
    {
        if (Operand.IsBarredByUmip(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        ulong address = GuestAccess.EffectiveAddress(cpu, op);
        var segment = (SegmentIndex)op->Segment;
        bool longMode = (op->Flags & OperationFlags.Long) != 0;
        bool stored = longMode
            ? GuestAccess.TryWriteAt(cpu, op, segment, address + 2, register.Base)
            : GuestAccess.TryWriteAt(cpu, op, segment, address + 2, (uint)register.Base);
        return stored && GuestAccess.TryWriteAt(cpu, op, segment, address, register.Limit) ? op + 1 : Faults.Faulted(cpu, op);
    }

    private static Operation* StoreSelector(CpuContext* cpu, Operation* op, SegmentIndex segment) =>
        Operand.IsBarredByUmip(cpu)
            ? Faults.Raise(cpu, op, ExceptionVector.GeneralProtection)
            : Operand.Store(cpu, op, Segments.Register(cpu, segment)->Selector);
}
