using WebVm.Vmm.Devices.Catalogue;

namespace WebVm.Vmm.Machine.Profiles;

/// <summary>Machines that need not be described: lists of devices, as a spec could have them.</summary>
/// <remarks>The ids are in saved states; older ones name no devices and mean this list. A later change of it is a new profile.</remarks>
internal static class Profile
{
    /// <summary>A PC: what operating systems expect of one, with a serial port for the console. Without a display.</summary>
    public static IReadOnlyList<DeviceSpec> Pc { get; } =
    [
        new("pci", "pci.host-bridge"),
        new("acpi-pm", "power.acpi"),
        new("reset-control", "power.reset-control"),
        new("pic", "interrupts.8259"),
        new("pit", "timer.8254"),
        new("ioapic", "interrupts.ioapic"),
        new("rtc", "clock.mc146818"),
        new("port92", "power.system-control"),
        new("i8042", "input.i8042"),
        new DeviceSpec("uart0", "serial.16550").WithSettings("""{"console":true}"""),
        new("pvpanic", "debug.pvpanic"),
        new("fw-cfg", "firmware.fw-cfg"),
        new("debug-exit", "debug.exit"),
    ];
}
