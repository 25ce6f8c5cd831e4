using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Operations;

/// <summary>The ways a handler leaves its block other than by going on or branching. Each commits RIP and gives null to return.</summary>
internal static unsafe class Faults
{
    /// <summary>The instruction raises an exception: RIP is the instruction's, nothing else of it happened.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Raise(CpuContext* cpu, Operation* op, ExceptionVector vector, uint error = 0)
    {
        Record(cpu, vector, error);
        return Faulted(cpu, op);
    }

    /// <summary>As <see cref="Raise"/>, with the exception already recorded by a Try… that gave false.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Faulted(CpuContext* cpu, Operation* op)
    {
        Commit(cpu, op, op->Offset);
        cpu->Outcome = Outcome.Exception;
        return null;
    }

    /// <summary>Leaves with RIP at this instruction, to look at requests and start it again (restartable string instructions).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Repeat(CpuContext* cpu, Operation* op)
    {
        Commit(cpu, op, op->Offset);
        cpu->Outcome = Outcome.Continue;
        return null;
    }

    /// <summary>Leaves with RIP behind this instruction: it changed something that decoding or event delivery depends on.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* Leave(CpuContext* cpu, Operation* op)
    {
        Commit(cpu, op, (uint)op->Offset + op->Length);
        cpu->Outcome = Outcome.Continue;
        return null;
    }

    /// <summary>Whether something waits that a long-running instruction should make room for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Interrupted(CpuContext* cpu) => Volatile.Read(ref cpu->Requests) != 0;

    /// <summary>Records an exception without leaving: for what returns false to a handler.</summary>
    public static void Record(CpuContext* cpu, ExceptionVector vector, uint error = 0, ulong address = 0)
    {
        cpu->Exception = vector;
        cpu->ExceptionErrorCode = error;
        cpu->ExceptionAddress = address;
    }

    /// <summary>Program counter of an instruction in the running block.</summary>
    public static ulong Rip(CpuContext* cpu, Operation* op) => Wrap(op, cpu->State.Rip + op->Offset);

    /// <summary>Program counter behind an instruction in the running block.</summary>
    public static ulong NextRip(CpuContext* cpu, Operation* op) => Wrap(op, cpu->State.Rip + op->Offset + op->Length);

    private static void Commit(CpuContext* cpu, Operation* op, uint offset) => cpu->State.Rip = Wrap(op, cpu->State.Rip + offset);

    private static ulong Wrap(Operation* op, ulong rip) => (op->Flags & OperationFlags.Long) != 0 ? rip : (uint)rip;
}
