using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>Loading data and stack segment registers, in every mode (SDM Vol. 2B MOV, Vol. 3A §5.6-5.7).</summary>
internal static unsafe class SegmentLoad
{
    private const SegmentAttributes Virtual8086 = SegmentAttributes.Present | SegmentAttributes.CodeOrData
        | SegmentAttributes.WritableOrReadable
        | SegmentAttributes.Accessed | (SegmentAttributes)(3 << 5);

    /// <summary>
    /// Loads ES, SS, DS, FS or GS. False: an exception is recorded and nothing has changed. The caller renews what derives from SS.
    /// </summary>
    public static bool TryLoad(CpuContext* cpu, SegmentIndex segment, ushort selector)
    {
        if ((cpu->State.Cr0 & Cr0.Pe) == 0)
        {
            // Limit and rights stay what they were (SDM Vol. 3A §9.9.2: so they survive leaving protected mode).
            LoadReal(cpu, segment, selector);
            return true;
        }

        if ((cpu->State.Rflags & RflagsBits.Vm) != 0)
        {
            LoadVirtual8086(cpu, segment, selector);
            return true;
        }

        return segment == SegmentIndex.Ss
            ? TryLoadStack(cpu, selector, cpu->Cpl, ExceptionVector.GeneralProtection, allowNull: cpu->IsCode64)
            : TryLoadData(cpu, segment, selector);
    }

    public static void LoadReal(CpuContext* cpu, SegmentIndex segment, ushort selector)
    {
        var register = Segments.Register(cpu, segment);
        register->Selector = selector;
        register->Base = (ulong)selector << 4;
    }

    /// <summary>Every segment of virtual-8086 mode looks alike (SDM Vol. 3B §20.2).</summary>
    public static void LoadVirtual8086(CpuContext* cpu, SegmentIndex segment, ushort selector) =>
        *Segments.Register(
            cpu, segment) = new SegmentRegister { Selector = selector, Base = (ulong)selector << 4, Limit = 0xffff,
                Attributes = Virtual8086 };

    /// <summary>A register with a null selector: any use faults, outside 64-bit mode.</summary>
    public static void LoadNull(CpuContext* cpu, SegmentIndex segment, ushort selector)
    {
        var register = Segments.Register(cpu, segment);
        register->Selector = selector;
        if (cpu->Vendor == CpuVendor.Intel || segment >= SegmentIndex.Ldtr || !CpuEnvironment.Of(cpu).Profile.KeepsBasesOfNullSelectors)
        {
            register->Base = 0;
        }

        register->Attributes = SegmentAttributes.Unusable
            | (segment == SegmentIndex.Ss ? (SegmentAttributes)((selector & 3) << 5) : SegmentAttributes.None);
    }

    /// <summary>
    /// Loads SS for a given CPL. Faults are #GP when software names the selector and #TS when a TSS does; a stack not present is #SS.
    /// </summary>
    public static bool TryLoadStack(CpuContext* cpu, ushort selector, int cpl, ExceptionVector fault, bool allowNull, uint external = 0)
    {
        if (!TryCheckStack(cpu, selector, cpl, fault, allowNull, external, out var descriptor))
        {
            return false;
        }

        if ((selector & ~3) == 0)
        {
            LoadNull(cpu, SegmentIndex.Ss, selector);
            return true;
        }

        if (!DescriptorTables.TrySetAccessed(cpu, selector, in descriptor))
        {
            return false;
        }

        descriptor.Load(Segments.Register(cpu, SegmentIndex.Ss), selector);
        return true;
    }

    /// <summary>The checks of <see cref="TryLoadStack"/> alone.</summary>
    public static bool TryCheckStack(
        CpuContext* cpu, ushort selector, int cpl, ExceptionVector fault, bool allowNull, uint external, out Descriptor descriptor)
    {
        descriptor = default;
        uint error = (uint)(selector & ~3) | external;
        if ((selector & ~3) == 0)
        {
            return (allowNull && cpl != 3 && (selector & 3) == cpl) || Fail(cpu, fault, external);
        }

        if (!DescriptorTables.TryRead(cpu, selector, out descriptor, out bool inTable))
        {
            return false;
        }

        if (!inTable || (selector & 3) != cpl || !descriptor.IsWritable || descriptor.Dpl != cpl)
        {
            return Fail(cpu, fault, error);
        }

        return descriptor.IsPresent || Fail(cpu, ExceptionVector.StackFault, error);
    }

    private static bool TryLoadData(CpuContext* cpu, SegmentIndex segment, ushort selector)
    {
        if ((selector & ~3) == 0)
        {
            LoadNull(cpu, segment, selector);
            return true;
        }

        if (!DescriptorTables.TryRead(cpu, selector, out var descriptor, out bool inTable))
        {
            return false;
        }

        uint error = (uint)selector & ~3u;
        bool checksPrivilege = descriptor.IsData || (descriptor.IsCode && !descriptor.IsConforming);
        if (!inTable || !descriptor.IsReadable || (checksPrivilege && ((selector & 3) > descriptor.Dpl || cpu->Cpl > descriptor.Dpl)))
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, error);
        }

        if (!descriptor.IsPresent)
        {
            return Fail(cpu, ExceptionVector.SegmentNotPresent, error);
        }

        if (!DescriptorTables.TrySetAccessed(cpu, selector, in descriptor))
        {
            return false;
        }

        descriptor.Load(Segments.Register(cpu, segment), selector);
        return true;
    }

    private static bool Fail(CpuContext* cpu, ExceptionVector vector, uint error)
    {
        Faults.Record(cpu, vector, error);
        return false;
    }
}
