namespace WebVm.Vmm.Devices.Pci;

/// <summary>How INTA# to INTD# of bus 0 are wired: rotated by the device number, so that devices spread.</summary>
public static class PciInterrupts
{
    /// <summary>INTA#-INTD# are I/O APIC pins 16-19; level triggered, active low.</summary>
    public const int FirstGsi = 16;
    public const int Pins = 4;

    /// <summary>The global system interrupt of a pin (INTA# is 1) of a device.</summary>
    public static int GsiOf(PciSlot slot, int pin) => FirstGsi + ((slot.Device + pin - 1) % Pins);

    /// <summary>The pin of a bridge (INTA# is 1) that a pin of a device behind it comes out of (PCI-to-PCI Bridge 1.2 §9.1).</summary>
    public static int Swizzle(PciSlot slot, int pin) => ((pin - 1 + slot.Device) % Pins) + 1;
}
