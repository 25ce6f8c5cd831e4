using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>HPET: the high precision event timer (IA-PC HPET Specification 1.0a §3.2.4).</summary>
internal static class EventTimerTable
{
    /// <summary>Bits 31:0 of the capabilities register: vendor 0x8086, legacy routing, 64 bits, 3 comparators, revision 1.</summary>
    private const uint BlockId = 0x8086_a201;

    /// <summary>Shortest period, in counter ticks, in which periodic interrupts are not lost.</summary>
    private const ushort MinimumTick = 100;

    private const byte SystemMemory = 0;

    public static AcpiTable Create()
    {
        var body = new AmlWriter();
        body.DoubleWord(BlockId);
        Span<byte> address = stackalloc byte[12];
        FixedHardwareTables.GenericAddress(address, SystemMemory, PlatformMap.Hpet, 0, 0);
        body.Bytes(address);
        body.Byte(0);
        body.Word(MinimumTick);
        body.Byte(0);
        return AcpiTable.Create("HPET", 1, body.ToArray());
    }
}
