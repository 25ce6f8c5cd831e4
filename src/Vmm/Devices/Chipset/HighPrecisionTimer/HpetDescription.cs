using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;

/// <summary>The event timers in the namespace, and the HPET table (IA-PC HPET Specification 1.0a §3.2.4).</summary>
internal static class HpetDescription
{
    /// <summary>Bits 31:0 of the capabilities register: vendor 0x8086, legacy routing, 64 bits, 3 comparators, revision 1.</summary>
    private const uint BlockId = 0x8086_a201;

    /// <summary>Shortest period, in counter ticks, in which periodic interrupts are not lost.</summary>
    private const ushort MinimumTick = 100;

    public static void AddTo(AcpiDescription acpi)
    {
        acpi.SystemBus.Add(
            AmlDevices.Create("HPET", "PNP0103", 0, new AmlMemory32Fixed((uint)Hpet.Base, Hpet.WindowSize, Writable: false)));
        acpi.Tables.Add(Table());
    }

    private static AcpiTable Table()
    {
        var body = new AmlWriter();
        body.DoubleWord(BlockId);
        Span<byte> address = stackalloc byte[GenericAddress.Size];
        GenericAddress.Write(address, AmlAddressSpace.SystemMemory, Hpet.Base, 0, 0);
        body.Bytes(address);
        body.Byte(0);
        body.Word(MinimumTick);
        body.Byte(0);
        return AcpiTable.Create("HPET", 1, body.ToArray());
    }
}
