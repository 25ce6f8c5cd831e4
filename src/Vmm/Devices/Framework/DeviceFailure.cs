namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device that was lost, and what it was doing.</summary>
/// <param name="Device">The device's name.</param>
/// <param name="During">The state that the device was in.</param>
/// <param name="Reason">What happened, in words for a person.</param>
/// <param name="Cause">What the device threw, or null when it failed with another that it depends on.</param>
public sealed record DeviceFailure(string Device, DeviceLifecycle During, string Reason, Exception? Cause)
{
    public override string ToString() => $"device '{Device}' failed while {During}: {Reason}";
}
