namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device with the machine's power button. Pressed from the machine's thread.</summary>
public interface IPowerButton : IHostInput
{
    /// <summary>The user pressed it. What happens is up to the guest; nothing does while the machine stands still.</summary>
    void PressPowerButton();
}
