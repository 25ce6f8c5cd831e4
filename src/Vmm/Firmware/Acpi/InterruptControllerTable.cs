using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Firmware.Description;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>MADT: processors, I/O APIC and how ISA interrupts reach it (ACPI 6.5 §5.2.12).</summary>
internal static class InterruptControllerTable
{
    private const byte Revision = 5;

    /// <summary>The machine also has two 8259s.</summary>
    private const uint PcatCompatible = 1;

    private const uint Enabled = 1 << 0;
    private const uint OnlineCapable = 1 << 1;

    /// <summary>xAPIC identifiers are below this; 255 is the broadcast (§5.2.12.12).</summary>
    private const uint FirstX2Apic = 255;

    private const byte NmiPin = 1;

    public static AcpiTable Create(PlatformDescription platform, AcpiDescription devices)
    {
        var body = new AmlWriter();
        body.DoubleWord((uint)PlatformMap.LocalApic);
        body.DoubleWord(PcatCompatible);
        foreach (var cpu in platform.Cpus)
        {
            uint flags = cpu.Enabled ? Enabled : OnlineCapable;
            if (UsesX2Apic(cpu))
            {
                Header(body, 9, 16);
                body.Word(0);
                body.DoubleWord(cpu.ApicId);
                body.DoubleWord(flags);
                body.DoubleWord(cpu.Uid);
            }
            else
            {
                Header(body, 0, 8);
                body.Byte((byte)cpu.Uid);
                body.Byte((byte)cpu.ApicId);
                body.DoubleWord(flags);
            }
        }

        foreach (var ioApic in devices.IoApics)
        {
            Header(body, 1, 12);
            body.Byte(ioApic.Id);
            body.Byte(0);
            body.DoubleWord(ioApic.Address);
            body.DoubleWord(ioApic.FirstGsi);
        }

        foreach (var source in devices.InterruptOverrides.OrderBy(source => source.Irq))
        {
            Header(body, 2, 10);
            body.Byte(0);
            body.Byte(source.Irq);
            body.DoubleWord(source.Gsi);
            body.Word(source.Flags);
        }

        // LINT1 is the NMI input of every processor.
        Header(body, 4, 6);
        body.Byte(0xff);
        body.Word(AcpiInterruptOverride.ConformsToBus);
        body.Byte(NmiPin);
        if (platform.Cpus.Any(UsesX2Apic))
        {
            Header(body, 10, 12);
            body.Word(AcpiInterruptOverride.ConformsToBus);
            body.DoubleWord(uint.MaxValue);
            body.Byte(NmiPin);
            body.Byte(0);
            body.Word(0);
        }

        return AcpiTable.Create("APIC", Revision, body.ToArray());
    }

    /// <summary>Whether a processor needs the entries with 32-bit identifiers.</summary>
    public static bool UsesX2Apic(PlatformCpu cpu) => cpu.ApicId >= FirstX2Apic || cpu.Uid >= FirstX2Apic;

    private static void Header(AmlWriter body, byte type, byte length)
    {
        body.Byte(type);
        body.Byte(length);
    }
}
