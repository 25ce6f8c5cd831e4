using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Firmware.Description;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>SRAT: which node processors and memory belong to (ACPI 6.5 §5.2.16), and SLIT: how far nodes are apart (§5.2.17).</summary>
internal static class AffinityTables
{
    private const uint Enabled = 1 << 0;
    private const uint HotPluggable = 1 << 1;

    public static AcpiTable CreateAffinity(PlatformDescription platform)
    {
        var body = new AmlWriter();
        body.DoubleWord(1);
        body.QuadWord(0);
        // Linux numbers its nodes in the order in which this table first mentions them, all processors before all memory.
        foreach (var cpu in platform.Cpus.OrderBy(cpu => cpu.Node))
        {
            if (InterruptControllerTable.UsesX2Apic(cpu))
            {
                body.Byte(2);
                body.Byte(24);
                body.Word(0);
                body.DoubleWord((uint)cpu.Node);
                body.DoubleWord(cpu.ApicId);
                body.DoubleWord(Enabled);
                body.DoubleWord(0);
                body.DoubleWord(0);
            }
            else
            {
                body.Byte(0);
                body.Byte(16);
                body.Byte((byte)cpu.Node);
                body.Byte((byte)cpu.ApicId);
                body.DoubleWord(Enabled);
                // Local SAPIC EID, then bits 31:8 of the node.
                body.DoubleWord((uint)(cpu.Node >> 8) << 8);
                body.DoubleWord(0);
            }
        }

        foreach (var range in platform.Memory)
        {
            body.Byte(1);
            body.Byte(40);
            body.DoubleWord((uint)range.Node);
            body.Word(0);
            body.QuadWord(range.Base.Value);
            body.QuadWord(range.Length);
            body.DoubleWord(0);
            body.DoubleWord(Enabled | (range.HotPluggable ? HotPluggable : 0));
            body.QuadWord(0);
        }

        return AcpiTable.Create("SRAT", 3, body.ToArray());
    }

    public static AcpiTable CreateDistances(PlatformDescription platform)
    {
        var body = new AmlWriter();
        body.QuadWord((ulong)platform.NodeCount);
        for (int from = 0; from < platform.NodeCount; from++)
        {
            for (int to = 0; to < platform.NodeCount; to++)
            {
                body.Byte(platform.Distance(from, to));
            }
        }

        return AcpiTable.Create("SLIT", 1, body.ToArray());
    }
}
