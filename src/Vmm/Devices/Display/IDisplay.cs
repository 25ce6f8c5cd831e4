using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Display;

/// <summary>A device with pixels in memory of its own, which the host can look at.</summary>
public interface IDisplay : IHostInput
{
    /// <summary>The pixels.</summary>
    GuestMemoryRegion Memory { get; }

    /// <summary>What is shown now, or null while the display is off.</summary>
    DisplayMode? Mode { get; }

    /// <summary>Another value means that the mode may have changed and that everything has to be drawn anew.</summary>
    int ModeVersion { get; }

    /// <summary>Where the guest finds the pixels now, if it does: for the boot protocols' description of the screen.</summary>
    GuestPhysicalAddress? FramebufferAddress { get; }

    /// <summary>The viewer's size changed: what the monitor asks the guest for from now on, or from when the machine goes on.</summary>
    /// <returns>False, and no change, for a mode that the display does not have.</returns>
    bool SetPreferredMode(int width, int height);
}
