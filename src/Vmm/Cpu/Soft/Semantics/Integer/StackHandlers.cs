using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>PUSH, POP, PUSHA, POPA, ENTER, LEAVE. A fault leaves the stack pointer as it was.</summary>
internal static unsafe class StackHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged =>
        GuestAccess.TryPush(cpu, op, RegisterFile.Read<T>(cpu, op->Reg0)) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushImmediate<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        GuestAccess.TryPush(cpu, op, OperandBits.Narrow<T>(op->Immediate)) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged =>
        GuestAccess.TryRead(cpu, op, out T value) && GuestAccess.TryPush(cpu, op, value) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    /// <summary>With a 64-bit stack pointer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushRegisterDirect<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong offset = cpu->State.Gpr[4] - (ulong)sizeof(T);
        if (!CachedAccess.TryOpen(cpu, new(offset), out T* host))
        {
            return PushRegister<T>(cpu, op);
        }

        *host = RegisterFile.Read<T>(cpu, op->Reg0);
        cpu->State.Gpr[4] = offset;
        return CachedAccess.Close(cpu, op, (byte*)host);
    }

    /// <summary>With a 64-bit stack pointer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushImmediateDirect<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong offset = cpu->State.Gpr[4] - (ulong)sizeof(T);
        if (!CachedAccess.TryOpen(cpu, new(offset), out T* host))
        {
            return PushImmediate<T>(cpu, op);
        }

        *host = OperandBits.Narrow<T>(op->Immediate);
        cpu->State.Gpr[4] = offset;
        return CachedAccess.Close(cpu, op, (byte*)host);
    }

    /// <summary>With a 64-bit stack pointer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PopRegisterDirect<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong offset = cpu->State.Gpr[4];
        if (!CachedAccess.TryRead(cpu, new(offset), out T value))
        {
            return PopRegister<T>(cpu, op);
        }

        cpu->State.Gpr[4] = offset + (ulong)sizeof(T);
        RegisterFile.Write(cpu, op->Reg0, value);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LeaveDirect(CpuContext* cpu, Operation* op)
    {
        ulong offset = cpu->State.Gpr[5];
        if (!CachedAccess.TryRead(cpu, new(offset), out ulong value))
        {
            return Leave<ulong>(cpu, op);
        }

        cpu->State.Gpr[4] = offset + 8;
        cpu->State.Gpr[5] = value;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushSelector<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        GuestAccess.TryPush(cpu, op, T.CreateTruncating(cpu->State.Segments[op->Reg0].Selector))
            ? Dispatch.Next(cpu, op)
            : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PopRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!GuestAccess.TryPop(cpu, op, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, value);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>POP to memory: an address that uses the stack pointer sees it already incremented (SDM Vol. 2B, POP).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PopMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong stackPointer = cpu->State.Gpr[4];
        if (!GuestAccess.TryPop(cpu, op, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        if (!GuestAccess.TryWrite(cpu, op, value))
        {
            cpu->State.Gpr[4] = stackPointer;
            return Faults.Faulted(cpu, op);
        }

        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PushAll<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong stackPointer = cpu->State.Gpr[4];
        for (int register = 0; register < 8; register++)
        {
            T value = register == 4 ? *(T*)&stackPointer : RegisterFile.Read<T>(cpu, (byte)(register * 8));
            if (!GuestAccess.TryPush(cpu, op, value))
            {
                cpu->State.Gpr[4] = stackPointer;
                return Faults.Faulted(cpu, op);
            }
        }

        return Dispatch.Next(cpu, op);
    }

    /// <summary>POPA drops the saved stack pointer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* PopAll<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong stackPointer = cpu->State.Gpr[4];
        T* values = stackalloc T[8];
        for (int register = 7; register >= 0; register--)
        {
            if (!GuestAccess.TryPop(cpu, op, out values[register]))
            {
                cpu->State.Gpr[4] = stackPointer;
                return Faults.Faulted(cpu, op);
            }
        }

        for (int register = 0; register < 8; register++)
        {
            if (register != 4)
            {
                RegisterFile.Write(cpu, (byte)(register * 8), values[register]);
            }
        }

        return Dispatch.Next(cpu, op);
    }

    /// <summary>ENTER: frame size in the immediate's low half, nesting level (0 to 31) above it (SDM Vol. 2A, ENTER).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Enter<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong stackPointer = cpu->State.Gpr[4];
        if (TryBuildFrame<T>(cpu, op))
        {
            return Dispatch.Next(cpu, op);
        }

        cpu->State.Gpr[4] = stackPointer;
        return Faults.Faulted(cpu, op);
    }

    /// <summary>LEAVE: rSP = rBP, then POP rBP; a fault changes neither.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Leave<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        ulong stackPointer = cpu->State.Gpr[4];
        GuestAccess.SetStackPointer(cpu, op, cpu->State.Gpr[5]);
        if (!GuestAccess.TryPop(cpu, op, out T value))
        {
            cpu->State.Gpr[4] = stackPointer;
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, RegisterFile.Rbp, value);
        return Dispatch.Next(cpu, op);
    }

    private static bool TryBuildFrame<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong framePointer = cpu->State.Gpr[5];
        if (!GuestAccess.TryPush(cpu, op, T.CreateTruncating(framePointer)))
        {
            return false;
        }

        ulong newFrame = cpu->State.Gpr[4];
        int level = (int)(op->Immediate >> 16) & 31;
        for (int display = 1; display < level; display++)
        {
            framePointer -= (ulong)sizeof(T);
            ulong offset = GuestAccess.WrapStack(op, framePointer);
            if (!GuestAccess.TryReadAt(cpu, op, SegmentIndex.Ss, offset, out T link) || !GuestAccess.TryPush(cpu, op, link))
            {
                return false;
            }
        }

        if (level > 0 && !GuestAccess.TryPush(cpu, op, T.CreateTruncating(newFrame)))
        {
            return false;
        }

        GuestAccess.SetStackPointer(cpu, op, cpu->State.Gpr[4] - (op->Immediate & 0xffff));
        // A write to the new top of the stack must be possible, or the instruction faults as a whole.
        if (!GuestAccess.TryBeginUpdateAt(cpu, op, SegmentIndex.Ss, GuestAccess.StackPointer(cpu, op), out T* top))
        {
            return false;
        }

        GuestAccess.EndUpdate(cpu, op, top);

        RegisterFile.Write(cpu, RegisterFile.Rbp, T.CreateTruncating(newFrame));
        return true;
    }
}
