using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.IoInterrupts;

/// <summary>
/// The registers of the I/O APIC on the system bus. The chip belongs to the engine, which resets and saves it with the other interrupt
/// controllers.
/// </summary>
/// <param name="chip">Null for an engine that answers its accesses by itself.</param>
public sealed class IoApicWindow(IoApic? chip) : IDevice, IMemoryMapped, IMmioHandler, IFirmwareVisible
{
    public const ulong Base = 0xfec0_0000;

    public string Name { get; init; } = "ioapic";

    public IReadOnlyList<MmioWindow> MmioWindows => chip is null ? [] : [new MmioWindow(new(Base), IoApic.WindowSize, this)];

    public void Describe(FirmwareDescription firmware) => firmware.Acpi.IoApics.Add(new(0, (uint)Base, 0));

    public void Reset()
    {
    }

    public ulong ReadMmio(ulong offset, int size) => chip!.Read((int)offset, size);

    public void WriteMmio(ulong offset, int size, ulong value) => chip!.Write((int)offset, size, value);
}
