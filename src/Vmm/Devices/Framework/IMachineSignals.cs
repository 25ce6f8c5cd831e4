namespace WebVm.Vmm.Devices.Framework;

/// <summary>What made the machine reset.</summary>
public enum ResetKind
{
    /// <summary>Reset control register 0xcf9, also the ACPI reset register.</summary>
    ResetControl,

    /// <summary>Pulse of the keyboard controller's output port, bit 0.</summary>
    KeyboardController,

    /// <summary>System control port A (0x92), bit 0.</summary>
    SystemControlPort,
}

/// <summary>Sleep states of ACPI 6.5 §7.4.2 that do not end the machine.</summary>
public enum SleepState
{
    /// <summary>Suspend to RAM.</summary>
    S3,

    /// <summary>Hibernation: the guest has saved itself.</summary>
    S4,
}

public enum PanicKind
{
    /// <summary>The guest's kernel panicked and did not start a crash kernel.</summary>
    Panicked,

    /// <summary>The guest's kernel panicked and a crash kernel takes over.</summary>
    CrashLoaded,
}

/// <summary>
/// What devices tell the machine about the guest's wishes. Called on a vCPU's thread, within an access and with the device's lock held:
/// an implementation notes the request, kicks whom it must, and returns; it never waits and never calls back.
/// </summary>
public interface IMachineSignals
{
    /// <summary>The guest switched itself off (S5).</summary>
    void PowerOff();

    void Reset(ResetKind kind);

    void Sleep(SleepState state);

    void GuestPanicked(PanicKind kind);

    /// <summary>A test guest ended with this exit code.</summary>
    void DebugExit(int code);
}
