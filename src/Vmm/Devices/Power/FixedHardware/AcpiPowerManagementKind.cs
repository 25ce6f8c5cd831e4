using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Power.FixedHardware;

[DeviceKind("power.acpi", "ACPI's fixed hardware: power button, soft-off, PM timer, general-purpose events")]
internal sealed class AcpiPowerManagementKind : IDeviceKind<NoSettings>
{
    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) =>
    [
        Claim.Ports(AcpiPorts.Pm1Event, AcpiPorts.Pm1EventLength), Claim.Ports(AcpiPorts.Pm1Control, AcpiPorts.Pm1ControlLength),
        Claim.Ports(AcpiPorts.Timer, AcpiPorts.TimerLength),
        Claim.Ports(AcpiPorts.Gpe0, AcpiPorts.Gpe0Length), Claim.Ports(AcpiPorts.SmiCommand, AcpiPorts.SmiLength),
        Claim.Interrupt(AcpiPorts.SciGsi),
    ];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new AcpiPowerManagement(site.Timers, site.Line(AcpiPorts.SciGsi), site.Signals) { Name = site.Id };
}
