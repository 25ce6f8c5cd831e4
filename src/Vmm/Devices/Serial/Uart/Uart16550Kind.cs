using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Serial.Uart;

[DeviceKind("serial.16550", "serial port")]
internal sealed class Uart16550Kind : IDeviceKind<Uart16550Settings>
{
    public static Placement? Placement { get; } = new(PortConnection.Instance, ComPorts.Com1, ComPorts.Com2, ComPorts.Com3, ComPorts.Com4);

    public static IEnumerable<Claim> Claims(DevicePlace at, Uart16550Settings settings) =>
    [
        Claim.Ports(at.Address, UartRegisters.Count),
        Claim.Interrupt(Irq(at, settings)) with { Setting = "irq" },
        .. settings.Console ? [Claim.Only("the machine's console") with { Setting = "console" }] : Array.Empty<Claim>(),
    ];

    public static IDevice Create(DeviceSite site, Uart16550Settings settings) => new Uart16550(
        site.Id, (ushort)site.At.Address, site.Line(Irq(site.At, settings)), settings.Console ? site.Part<ISerialBackend>() : null);

    private static int Irq(DevicePlace at, Uart16550Settings settings) => settings.Irq ?? ComPorts.IrqOf((ushort)at.Address);
}
