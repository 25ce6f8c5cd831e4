using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <summary>From segment and offset to linear address, with limits and rights (SDM Vol. 3A §5.3-5.5, §3.3 in 64-bit mode).</summary>
internal static unsafe class Segments
{
    public static SegmentRegister* Register(CpuContext* cpu, SegmentIndex segment) => (SegmentRegister*)&cpu->State.Segments + (int)segment;

    /// <summary>The base that addresses in the segment are relative to.</summary>
    public static ulong Base(CpuContext* cpu, Operation* op, SegmentIndex segment) =>
        (op->Flags & OperationFlags.Long) != 0 && segment < SegmentIndex.Fs ? 0 : Register(cpu, segment)->Base;

    /// <summary>Linear address of an access, or false with #GP or #SS recorded.</summary>
    public static bool TryLinear(
        CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, uint size, bool write, out GuestVirtualAddress linear)
    {
        if ((op->Flags & OperationFlags.Long) != 0)
        {
            linear = new(segment < SegmentIndex.Fs ? offset : offset + Register(cpu, segment)->Base);
            return true;
        }

        var register = Register(cpu, segment);
        linear = new((uint)(register->Base + offset));
        if (Permits(register, (uint)offset, size, write))
        {
            return true;
        }

        Faults.Record(cpu, segment == SegmentIndex.Ss ? ExceptionVector.StackFault : ExceptionVector.GeneralProtection);
        return false;
    }

    /// <summary>How many bytes from the offset upwards are inside the segment's limit and the address size's reach.</summary>
    public static ulong Reach(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset)
    {
        ulong wrap = (op->Flags & OperationFlags.Address16) != 0
            ? 0x1_0000UL
            : (op->Flags & OperationFlags.Address32) != 0 ? 0x1_0000_0000UL : ulong.MaxValue;
        ulong reach = wrap - offset;
        if ((op->Flags & OperationFlags.Long) == 0)
        {
            var register = Register(cpu, segment);
            ulong last = IsExpandDown(register) ? UpperBound(register) : register->Limit;
            reach = Math.Min(reach, last - offset + 1);
        }

        return reach;
    }

    /// <summary>Whether the segment allows an access of that kind at those offsets (not in 64-bit mode).</summary>
    public static bool Permits(SegmentRegister* register, uint offset, uint size, bool write)
    {
        var attributes = register->Attributes;
        if ((attributes & SegmentAttributes.Unusable) != 0)
        {
            return false;
        }

        bool code = (attributes & SegmentAttributes.Code) != 0;
        bool open = (attributes & SegmentAttributes.WritableOrReadable) != 0;
        if (write ? code || !open : code && !open)
        {
            return false;
        }

        ulong last = (ulong)offset + size - 1;
        return IsExpandDown(register)
            ? offset > register->Limit && last <= UpperBound(register)
            : last <= register->Limit;
    }

    /// <summary>Whether the segment is data (or readable code) that covers all 4 GiB from 0, writable.</summary>
    public static bool IsFlat(SegmentRegister* register) =>
        register->Base == 0 && register->Limit == uint.MaxValue
        && (register->Attributes & (SegmentAttributes.Unusable | SegmentAttributes.Code | SegmentAttributes.ExpandDownOrConforming
            | SegmentAttributes.WritableOrReadable))
            == SegmentAttributes.WritableOrReadable;

    private static bool IsExpandDown(SegmentRegister* register) =>
        (register->Attributes & (SegmentAttributes.Code
            | SegmentAttributes.ExpandDownOrConforming)) == SegmentAttributes.ExpandDownOrConforming;

    private static uint UpperBound(SegmentRegister* register) =>
        (register->Attributes & SegmentAttributes.Default32) != 0 ? uint.MaxValue : 0xffff;
}
