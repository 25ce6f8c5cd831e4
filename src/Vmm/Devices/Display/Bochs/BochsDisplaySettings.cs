using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>Resolution at power-on; 32 bits a pixel.</summary>
public sealed record BochsDisplaySettings
{
    [Setting("pixels in a line at power-on", Minimum = 320, Maximum = 3840, Multiple = 8)]
    public int Width { get; init; } = 1024;

    [Setting("lines at power-on", Minimum = 200, Maximum = 2160)]
    public int Height { get; init; } = 768;
}
