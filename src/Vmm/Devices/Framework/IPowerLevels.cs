namespace WebVm.Vmm.Devices.Framework;

public enum PowerLevel
{
    Full,

    /// <summary>The device is stopped and can only be woken. It keeps its registers.</summary>
    Asleep,
}

/// <summary>
/// A device that its guest puts to sleep and wakes. The framework follows: asleep, the device is stopped and its input closed.
/// </summary>
public interface IPowerLevels
{
    /// <summary>What the guest wants now; the full level after <see cref="IDevice.Reset"/>.</summary>
    PowerLevel WantedLevel { get; }

    /// <summary><see cref="WantedLevel"/> has changed. Raised on a vCPU's thread, with no lock held.</summary>
    event Action? LevelWanted;

    /// <summary>
    /// The device changes to this level: it has come to rest, and is started after it is back at the full one. Not called for a reset,
    /// which is that too.
    /// </summary>
    void EnterLevel(PowerLevel level)
    {
    }
}
