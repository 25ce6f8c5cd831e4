namespace WebVm.Vmm.Devices.Pci;

/// <summary>How INTA# to INTD# of bus 0 are wired: rotated by the device number, so that devices spread.</summary>
public static class PciInterrupts
{
    public const int Pins = 4;

    /// <summary>The global system interrupt of a pin (INTA# is 1) of a device.</summary>
    public static int GsiOf(PciSlot slot, int pin) => PlatformMap.PciIntxGsi + ((slot.Device + pin - 1) % Pins);
}
