namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device with the machine's power button. Pressed from the machine's thread.</summary>
public interface IPowerButton
{
    /// <summary>The user pressed it. What happens is up to the guest.</summary>
    void PressPowerButton();
}
