using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <content>The stack, by the width of its pointer.</content>
internal static unsafe partial class GuestAccess
{
    private const int Rsp = 4;

    /// <summary>The stack pointer, at the stack's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong StackPointer(CpuContext* cpu, Operation* op) => WrapStack(op, cpu->State.Gpr[Rsp]);

    /// <summary>Sets the stack pointer; a 16-bit one leaves the upper bits of ESP alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetStackPointer(CpuContext* cpu, Operation* op, ulong value)
    {
        if ((op->Flags & (OperationFlags.Stack16 | OperationFlags.Stack32)) == 0)
        {
            cpu->State.Gpr[Rsp] = value;
        }
        else if ((op->Flags & OperationFlags.Stack32) != 0)
        {
            cpu->State.Gpr[Rsp] = (uint)value;
        }
        else
        {
            *(ushort*)&cpu->State.Gpr[Rsp] = (ushort)value;
        }
    }

    /// <summary>Wraps a stack offset at the stack's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WrapStack(Operation* op, ulong value) =>
        (op->Flags & (OperationFlags.Stack16 | OperationFlags.Stack32)) == 0 ? value
        : (op->Flags & OperationFlags.Stack32) != 0 ? (uint)value : (ushort)value;

    /// <summary>Pushes; the stack pointer moves only on success.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPush<T>(CpuContext* cpu, Operation* op, T value)
        where T : unmanaged
    {
        ulong offset = WrapStack(op, cpu->State.Gpr[Rsp] - (ulong)sizeof(T));
        if (!TryWriteAt(cpu, op, SegmentIndex.Ss, offset, value))
        {
            return false;
        }

        SetStackPointer(cpu, op, offset);
        return true;
    }

    /// <summary>Pops; the stack pointer moves only on success.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPop<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged
    {
        ulong offset = StackPointer(cpu, op);
        if (!TryReadAt(cpu, op, SegmentIndex.Ss, offset, out value))
        {
            return false;
        }

        SetStackPointer(cpu, op, offset + (ulong)sizeof(T));
        return true;
    }

    /// <summary>Reads what a pop would, <paramref name="above"/> bytes above the stack pointer, without moving it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPeek<T>(CpuContext* cpu, Operation* op, uint above, out T value)
        where T : unmanaged => TryReadAt(cpu, op, SegmentIndex.Ss, WrapStack(op, cpu->State.Gpr[Rsp] + above), out value);
}
