namespace WebVm.Vmm.Devices.Framework;

/// <summary>How an attempt to take a device out of a running machine ended.</summary>
public enum UnplugOutcome
{
    /// <summary>The device is torn down.</summary>
    Gone,

    /// <summary>The guest keeps it.</summary>
    Refused,

    /// <summary>
    /// The guest said nothing, as some never do: the device stays in use. If it agrees later, the device goes then
    /// (<see cref="DeviceTree.DeviceGone"/>).
    /// </summary>
    Unanswered,
}
