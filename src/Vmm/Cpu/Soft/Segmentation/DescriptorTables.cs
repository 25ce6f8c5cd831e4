using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>The GDT and the LDT as the processor reads them.</summary>
internal static unsafe class DescriptorTables
{
    /// <summary>Linear address of a selector's descriptor; false if it lies beyond its table.</summary>
    public static bool TryLocate(CpuContext* cpu, ushort selector, uint size, out ulong address)
    {
        uint offset = (uint)selector & ~7u;
        if ((selector & 4) == 0)
        {
            address = cpu->State.Gdtr.Base + offset;
            return offset + size - 1 <= cpu->State.Gdtr.Limit;
        }

        var ldt = Segments.Register(cpu, SegmentIndex.Ldtr);
        address = ldt->Base + offset;
        return (ldt->Attributes & SegmentAttributes.Unusable) == 0 && offset + size - 1 <= ldt->Limit;
    }

    /// <summary>
    /// Reads an 8-byte descriptor. False: a page fault is recorded. <paramref name="inTable"/> false: beyond the table's limit, which most
    /// callers answer with #GP or #TS of the selector.
    /// </summary>
    public static bool TryRead(CpuContext* cpu, ushort selector, out Descriptor descriptor, out bool inTable)
    {
        descriptor = default;
        inTable = TryLocate(cpu, selector, 8, out ulong address);
        if (!inTable)
        {
            return true;
        }

        if (!SlowAccess.TryReadSystem(cpu, new(address), out ulong low))
        {
            return false;
        }

        descriptor = new Descriptor(low);
        return true;
    }

    /// <summary>Reads a system descriptor: 16 bytes in IA-32e mode.</summary>
    public static bool TryReadSystem(CpuContext* cpu, ushort selector, out Descriptor descriptor, out bool inTable)
    {
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        if (!longMode)
        {
            return TryRead(cpu, selector, out descriptor, out inTable);
        }

        descriptor = default;
        inTable = TryLocate(cpu, selector, 16, out ulong address);
        if (!inTable)
        {
            return true;
        }

        if (!SlowAccess.TryReadSystem(cpu, new(address), out ulong low) || !SlowAccess.TryReadSystem(cpu, new(address + 8), out ulong high))
        {
            return false;
        }

        descriptor = new Descriptor(low, high);
        return true;
    }

    /// <summary>Sets the accessed bit in the table, as loading a segment register does.</summary>
    public static bool TrySetAccessed(CpuContext* cpu, ushort selector, in Descriptor descriptor)
    {
        if (descriptor.IsAccessed)
        {
            return true;
        }

        _ = TryLocate(cpu, selector, 8, out ulong address);
        return SlowAccess.TryWriteSystem(cpu, new(address + 5), (byte)((descriptor.Low | (1UL << 40)) >> 40));
    }
}
