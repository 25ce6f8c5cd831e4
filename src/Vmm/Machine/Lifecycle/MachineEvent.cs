namespace WebVm.Vmm.Machine.Lifecycle;

public enum MachineEventKind
{
    /// <summary><see cref="VirtualMachine.State"/> changed; the text names the new state.</summary>
    State,

    /// <summary>The guest was reset; the text says how.</summary>
    Reset,

    /// <summary>The guest reported a panic.</summary>
    Panic,

    /// <summary>A device was lost; the machine goes on without it.</summary>
    DeviceFailed,

    /// <summary>A device was unplugged, and the guest has let it go.</summary>
    DeviceGone,

    /// <summary>The guest changed the display's mode.</summary>
    DisplayMode,

    /// <summary>The machine ended; the text says how.</summary>
    Exit,
}

/// <summary>Something that whoever watches a machine wants to know.</summary>
/// <param name="Exit">For <see cref="MachineEventKind.Exit"/>, how the machine ended.</param>
public sealed record MachineEvent(MachineEventKind Kind, string Text, MachineExit? Exit = null);
