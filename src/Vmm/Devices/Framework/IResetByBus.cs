namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// A device that the bus it is on resets by itself, while the machine runs on. The framework follows: the device is stopped and drained,
/// gets its
/// <see cref="IDevice.Reset"/>, and is started again.
/// </summary>
public interface IResetByBus
{
    /// <summary>
    /// The bus has reset the device, which has not followed yet: until it has, nobody reaches it. False from <see cref="IDevice.Reset"/>
    /// on.
    /// </summary>
    bool ResetDue { get; }

    /// <summary><see cref="ResetDue"/> has become true. Raised on a vCPU's thread, with no lock held.</summary>
    event Action? ResetWanted;
}
