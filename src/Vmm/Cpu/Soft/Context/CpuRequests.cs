namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>Reasons to leave the dispatch loop at the next block boundary; bits of <see cref="CpuContext.Requests"/>.</summary>
[Flags]
internal enum CpuRequests
{
    None = 0,
    Kick = 1 << 0,

    /// <summary>The local APIC (or the PIC through it) has something to deliver.</summary>
    Interrupt = 1 << 1,
    Deadline = 1 << 2,

    /// <summary>The memory map changed: drop translations of what is no longer so.</summary>
    DropTranslations = 1 << 3,
    Nmi = 1 << 4,
    Init = 1 << 5,
    Sipi = 1 << 6,

    /// <summary>A data breakpoint was hit or a single step is due.</summary>
    Debug = 1 << 7,

    /// <summary>Blocks of one instruction are being executed: no chaining.</summary>
    Step = 1 << 8,

    /// <summary>Leave HLT without an interrupt.</summary>
    Unhalt = 1 << 9,
}
