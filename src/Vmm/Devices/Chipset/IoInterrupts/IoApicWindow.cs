using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Chipset.IoInterrupts;

/// <summary>
/// The registers of the soft engine's I/O APIC on the system bus. The chip belongs to the engine, which resets and saves it with the
/// other interrupt controllers; KVM has its own.
/// </summary>
public sealed class IoApicWindow(IoApic chip) : IDevice, IMemoryMapped, IMmioHandler
{
    public string Name => "ioapic";

    public IReadOnlyList<MmioWindow> MmioWindows => [new MmioWindow(new(PlatformMap.IoApic), IoApic.WindowSize, this)];

    public void Reset()
    {
    }

    public ulong ReadMmio(ulong offset, int size) => chip.Read((int)offset, size);

    public void WriteMmio(ulong offset, int size, ulong value) => chip.Write((int)offset, size, value);
}
