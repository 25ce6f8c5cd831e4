namespace WebVm.Vmm.Devices.Serial.Uart;

/// <summary>Where the serial ports of a PC are, in the order in which they are counted.</summary>
public static class ComPorts
{
    public const ushort Com1 = 0x3f8;
    public const ushort Com2 = 0x2f8;
    public const ushort Com3 = 0x3e8;
    public const ushort Com4 = 0x2e8;

    public const int Com1Irq = 4;
    public const int Com2Irq = 3;

    /// <summary>The interrupt that software expects of a port.</summary>
    public static int IrqOf(ushort port) => port is Com2 or Com4 ? Com2Irq : Com1Irq;
}
