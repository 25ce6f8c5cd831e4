using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>Resolution at power-on; 32 bits a pixel.</summary>
public sealed record BochsDisplaySettings
{
    public const int MinimumWidth = 320;
    public const int MaximumWidth = 3840;

    /// <summary>A line has a multiple of so many pixels.</summary>
    public const int WidthStep = 8;

    public const int MinimumHeight = 200;
    public const int MaximumHeight = 2160;

    [Setting("pixels in a line at power-on", Minimum = MinimumWidth, Maximum = MaximumWidth, Multiple = WidthStep)]
    public int Width { get; init; } = 1024;

    [Setting("lines at power-on", Minimum = MinimumHeight, Maximum = MaximumHeight)]
    public int Height { get; init; } = 768;
}
