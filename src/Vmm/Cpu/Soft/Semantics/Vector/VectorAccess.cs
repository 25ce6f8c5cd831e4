using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.X87;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>Whether instructions of a kind may execute now (SDM Vol. 2A §2.4-2.5, Vol. 3A §2.5 on CR0 and CR4).</summary>
internal unsafe interface IVectorAccess
{
    static abstract bool IsAllowed(CpuContext* cpu);

    /// <summary>Raises the exception for which <see cref="IsAllowed"/> said no.</summary>
    static abstract Operation* Refuse(CpuContext* cpu, Operation* op);
}

/// <summary>Legacy-encoded SSE: #UD with CR0.EM or without CR4.OSFXSR, then #NM with CR0.TS.</summary>
internal readonly unsafe struct SseAccess : IVectorAccess
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAllowed(CpuContext* cpu) =>
        ((cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) | (~cpu->State.Cr4 & Cr4.Osfxsr)) == 0;

    public static Operation* Refuse(CpuContext* cpu, Operation* op) =>
        (cpu->State.Cr0 & Cr0.Em) != 0 || (cpu->State.Cr4 & Cr4.Osfxsr) == 0
            ? Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode)
            : Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
}

/// <summary>VEX-encoded: #UD unless CR4.OSXSAVE and XCR0 has SSE and AVX state, then #NM with CR0.TS.</summary>
internal readonly unsafe struct AvxAccess : IVectorAccess
{
    private const ulong Needed = VectorFeatures.StateSse | VectorFeatures.StateAvx;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAllowed(CpuContext* cpu) =>
        ((cpu->State.Cr0 & Cr0.Ts) | (~cpu->State.Cr4 & Cr4.Osxsave) | (~cpu->State.Xcr0 & Needed)) == 0;

    public static Operation* Refuse(CpuContext* cpu, Operation* op) =>
        (cpu->State.Cr4 & Cr4.Osxsave) == 0 || (cpu->State.Xcr0 & Needed) != Needed
            ? Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode)
            : Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
}

/// <summary>MMX registers alone: #UD with CR0.EM, #NM with CR0.TS, #MF when an x87 exception is pending.</summary>
internal readonly unsafe struct MmxAccess : IVectorAccess
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAllowed(CpuContext* cpu) =>
        (cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) == 0 && !X87State.MustFault(cpu);

    public static Operation* Refuse(CpuContext* cpu, Operation* op) =>
        (cpu->State.Cr0 & Cr0.Em) != 0 ? Faults.Raise(cpu, op, ExceptionVector.InvalidOpcode)
        : (cpu->State.Cr0 & Cr0.Ts) != 0 ? Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable)
        : X87State.RaisePending(cpu, op);
}

/// <summary>MMX and XMM registers together: both sets of conditions.</summary>
internal readonly unsafe struct MmxSseAccess : IVectorAccess
{
    public static bool IsAllowed(CpuContext* cpu) => SseAccess.IsAllowed(cpu) && !X87State.MustFault(cpu);

    public static Operation* Refuse(CpuContext* cpu, Operation* op) =>
        SseAccess.IsAllowed(cpu) ? X87State.RaisePending(cpu, op) : SseAccess.Refuse(cpu, op);
}
