namespace WebVm.Vmm.Devices.Framework;

/// <summary>The states of a device (SYSTEMS.md 003-2). Only DeviceNode changes them.</summary>
public enum DeviceLifecycle
{
    Off,
    Initializing,
    PoweringUp,
    LoadingState,
    Running,
    SavingState,
    PoweringDown,
    TearingDown,
}
