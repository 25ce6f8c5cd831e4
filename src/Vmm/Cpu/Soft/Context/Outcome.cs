namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>Why the interpreter's loop was left, in <see cref="CpuContext"/>.</summary>
internal enum Outcome : byte
{
    /// <summary>RIP is committed; look up the next block.</summary>
    Continue,

    /// <summary>An exception is recorded in the context, RIP is that of the faulting instruction.</summary>
    Exception,

    /// <summary>HLT retired.</summary>
    Halt,

    /// <summary>The vCPU cannot go on: it shut down (SDM Vol. 3A §6.15, #DF).</summary>
    Shutdown,
}
