namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>The Bochs display interface's registers (Bochs VBE_DISPI, 16 bits each).</summary>
internal static class DispiRegister
{
    public const int Id = 0;
    public const int Width = 1;
    public const int Height = 2;
    public const int BitsPerPixel = 3;
    public const int Enable = 4;
    public const int Bank = 5;
    public const int VirtualWidth = 6;
    public const int VirtualHeight = 7;
    public const int OffsetX = 8;
    public const int OffsetY = 9;
    public const int MemoryIn64K = 10;
    public const int Count = 11;

    /// <summary>The interface's newest version: linear framebuffer, 32 bits, memory size.</summary>
    public const ushort Version = 0xb0c5;

    public const ushort Enabled = 1 << 0;
    public const ushort LinearFramebuffer = 1 << 6;
    public const ushort NoClear = 1 << 7;
}
