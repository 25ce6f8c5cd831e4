using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Serial.Uart;

public sealed record Uart16550Settings
{
    [Setting("ISA interrupt; the usual one of the port unless given", Minimum = 3, Maximum = 15)]
    public int? Irq { get; init; }

    [Setting("whether the machine's console is at the far end; nothing is, otherwise")]
    public bool Console { get; init; }
}
