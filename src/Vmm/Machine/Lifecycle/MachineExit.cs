using WebVm.Vmm.Devices.Debugging.Exit;

namespace WebVm.Vmm.Machine.Lifecycle;

public enum MachineState
{
    /// <summary>Assembled; has never run.</summary>
    Created,
    Running,

    /// <summary>vCPUs, devices and time stand still.</summary>
    Paused,

    /// <summary>Over for good; <see cref="VirtualMachine.Exit"/> says how.</summary>
    Stopped,
}

public enum ExitKind
{
    /// <summary>The guest switched itself off.</summary>
    PowerOff,

    /// <summary>The host asked for the end.</summary>
    Stopped,

    /// <summary>Triple fault, panic, or another end the guest does not recover from.</summary>
    Crash,

    /// <summary>The host could not go on.</summary>
    HostFailure,

    /// <summary>The guest wrote to the debug exit port.</summary>
    DebugExit,
}

/// <summary>How a machine ended.</summary>
/// <param name="Code">Exit code of the process.</param>
/// <param name="Message">For people.</param>
public sealed record MachineExit(ExitKind Kind, int Code, string Message)
{
    public static MachineExit PowerOff { get; } = new(ExitKind.PowerOff, 0, "the guest powered off");

    public static MachineExit Stopped { get; } = new(ExitKind.Stopped, 0, "stopped");

    /// <summary>
    /// A signal to the process asked for the end: a host that shuts down, most of all. It has a code of its own, as the guest did not power
    /// off.
    /// </summary>
    /// <param name="signal">signal(7); the code is 128 and its number, as a shell tells it.</param>
    public static MachineExit Signalled(int signal) => new(ExitKind.Stopped, 128 + signal, $"stopped by signal {signal}");

    /// <summary>Exit code of a crash: even, as no debug exit's is.</summary>
    public const int CrashCode = 6;

    public static MachineExit Crash(string how) => new(ExitKind.Crash, CrashCode, $"the guest crashed: {how}");

    public static MachineExit HostFailure(string why) => new(ExitKind.HostFailure, 4, why);

    /// <param name="code">As isa-debug-exit makes it from what the guest wrote; the kernel keeps 8 bits of a process's exit code.</param>
    public static MachineExit DebugExit(int code) => new(ExitKind.DebugExit, code & 0xff, $"debug exit with code {code & 0xff}");
}

/// <summary>The machine is not in a state in which that can be done.</summary>
public sealed class MachineStateException(string message) : InvalidOperationException(message);

/// <summary>Devices did not come to rest in time, so that what was asked for was given up.</summary>
public sealed class DevicesBusyException(string message) : TimeoutException(message);
