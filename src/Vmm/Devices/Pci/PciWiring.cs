using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// What the tree of buses hangs on: windows of the root complex, interrupt router, the lines that INTA#-INTD# of bus 0 are.
/// </summary>
internal sealed class PciWiring(PciWindows windows, IInterruptRouter router, IReadOnlyList<InterruptLine> intx)
{
    public PciWindows Windows => windows;

    public IInterruptRouter Router => router;

    public InterruptLine LineOf(PciBus bus, PciSlot slot, int pin) => intx[bus.GsiOf(slot, pin) - PciInterrupts.FirstGsi];
}
