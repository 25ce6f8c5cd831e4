using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>Checks and loads of CS that far transfers share (SDM Vol. 3A §5.8).</summary>
internal static unsafe class CodeTransfer
{
    /// <summary>Reads the descriptor a far transfer names; null selector and one beyond its table are #GP.</summary>
    public static bool TryFetch(CpuContext* cpu, ushort selector, uint external, out Descriptor descriptor)
    {
        descriptor = default;
        if ((selector & ~3) == 0)
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, external);
        }

        return DescriptorTables.TryRead(cpu, selector, out descriptor, out bool inTable)
            && (inTable || Fail(cpu, ExceptionVector.GeneralProtection, (uint)(selector & ~3) | external));
    }

    /// <summary>A code segment that a JMP or CALL enters directly: same privilege, or conforming.</summary>
    public static bool TryCheckDirect(CpuContext* cpu, ushort selector, in Descriptor descriptor)
    {
        uint error = (uint)selector & ~3u;
        bool permitted = descriptor.IsCode
            && (descriptor.IsConforming ? descriptor.Dpl <= cpu->Cpl : descriptor.Dpl == cpu->Cpl && (selector & 3) <= cpu->Cpl)
            && IsModeValid(cpu, in descriptor);
        return permitted
            ? descriptor.IsPresent || Fail(cpu, ExceptionVector.SegmentNotPresent, error)
            : Fail(cpu, ExceptionVector.GeneralProtection, error);
    }

    /// <summary>A code segment that IRET or RETF returns to: the selector's RPL becomes the CPL.</summary>
    public static bool TryCheckReturn(CpuContext* cpu, ushort selector, in Descriptor descriptor)
    {
        uint error = (uint)selector & ~3u;
        int rpl = selector & 3;
        bool permitted = descriptor.IsCode && rpl >= cpu->Cpl && IsModeValid(cpu, in descriptor)
            && (descriptor.IsConforming ? descriptor.Dpl <= rpl : descriptor.Dpl == rpl);
        return permitted
            ? descriptor.IsPresent || Fail(cpu, ExceptionVector.SegmentNotPresent, error)
            : Fail(cpu, ExceptionVector.GeneralProtection, error);
    }

    /// <summary>Whether a program counter can be in the segment: canonical in 64-bit code, else within the limit; #GP(0) if not.</summary>
    public static bool TryCheckTarget(CpuContext* cpu, in Descriptor descriptor, ulong rip)
    {
        bool valid = IsLongCode(cpu, in descriptor) ? SlowAccess.IsCanonical(cpu, rip) : rip <= descriptor.Limit;
        return valid || Fail(cpu, ExceptionVector.GeneralProtection, 0);
    }

    public static bool IsLongCode(CpuContext* cpu, in Descriptor descriptor) => (cpu->State.Efer & Efer.Lma) != 0 && descriptor.IsLong;

    /// <summary>Loads CS with a new CPL and marks the descriptor accessed.</summary>
    public static bool TryLoad(CpuContext* cpu, ushort selector, in Descriptor descriptor, int cpl)
    {
        if (!DescriptorTables.TrySetAccessed(cpu, selector, in descriptor))
        {
            return false;
        }

        descriptor.Load(Segments.Register(cpu, SegmentIndex.Cs), (ushort)((selector & ~3) | cpl));
        return true;
    }

    public static bool Fail(CpuContext* cpu, ExceptionVector vector, uint error)
    {
        Faults.Record(cpu, vector, error);
        return false;
    }

    /// <summary>In IA-32e mode L and D must not both be set.</summary>
    private static bool IsModeValid(CpuContext* cpu, in Descriptor descriptor) =>
        (cpu->State.Efer & Efer.Lma) == 0 || !(descriptor.IsLong && descriptor.IsDefault32);
}
