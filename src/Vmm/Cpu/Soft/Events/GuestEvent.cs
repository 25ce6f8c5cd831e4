using WebVm.Vmm.Cpu.Soft.Context;






namespace WebVm.Vmm.Cpu.Soft.Events;

/// <summary>How an event came about (SDM Vol. 3C table 24-13).</summary>
internal enum EventKind : byte
{
    External = 0,
    Nmi = 2,
    Exception = 3,

    /// <summary>INT n.</summary>
    SoftwareInterrupt = 4,

    /// <summary>INT1.</summary>
    PrivilegedSoftware = 5,

    /// <summary>INT3, INTO.</summary>
    SoftwareException = 6,
}

/// <summary>Something to be delivered through the IDT.</summary>
/// <param name="ReturnRip">What is pushed as the program counter.</param>
/// <param name="Address">CR2 for a page fault, DR6 bits for a debug exception that is a fault.</param>
internal readonly record struct GuestEvent(
    byte Vector, EventKind Kind, ulong ReturnRip, bool HasErrorCode = false, uint ErrorCode = 0, ulong Address = 0)
{
    /// <summary>The event did not come from the program (the EXT bit of error codes, SDM Vol. 3A §6.13).</summary>
    public bool IsExternalToProgram => Kind is EventKind.External or EventKind.Nmi or EventKind.Exception;

    /// <summary>INT n, INT3 and INTO respect the gate's DPL.</summary>
    public bool ChecksGatePrivilege => Kind is EventKind.SoftwareInterrupt or EventKind.SoftwareException;

    public static GuestEvent Nmi(ulong rip) => new((byte)ExceptionVector.Nmi, EventKind.Nmi, rip);

    public static GuestEvent External(byte vector, ulong rip) => new(vector, EventKind.External, rip);

    /// <summary>The trap of <see cref="State.CpuState.PendingDebug"/>.</summary>
    public static GuestEvent DebugTrap(ulong rip) => new((byte)ExceptionVector.Debug, EventKind.Exception, rip);

    /// <summary>The exception in the context.</summary>
    public static unsafe GuestEvent Recorded(CpuContext* cpu) =>
        new((byte)cpu->Exception, EventKind.Exception, cpu->State.Rip, PushesErrorCode(
            cpu->Exception), cpu->ExceptionErrorCode, cpu->ExceptionAddress);

    private static bool PushesErrorCode(ExceptionVector vector) => vector is ExceptionVector.DoubleFault
        or (>= ExceptionVector.InvalidTss and <= ExceptionVector.PageFault) or ExceptionVector.AlignmentCheck;
}
