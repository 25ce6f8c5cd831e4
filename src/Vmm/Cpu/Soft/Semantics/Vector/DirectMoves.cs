using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Register and memory moves without a stub. <c>T</c> is the memory operand's type; <c>TAccess</c> tells legacy from VEX encoding,
/// whose 128-bit forms zero the high half.
/// </summary>
internal static unsafe class DirectMoves
{
    /// <summary>XMM register to XMM register, or YMM to YMM for <c>T</c> = Vector256.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Copy<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        byte* source = VectorRegisters.Pointer(cpu, op->Reg1);
        byte* destination = VectorRegisters.Pointer(cpu, op->Reg0);
        *(Vector128<byte>*)destination = *(Vector128<byte>*)source;
        if (sizeof(T) == 32)
        {
            *(Vector128<byte>*)(destination + VectorRegisters.HighHalf) = *(Vector128<byte>*)(source + VectorRegisters.HighHalf);
        }
        else if (typeof(TAccess) == typeof(AvxAccess))
        {
            *(Vector128<byte>*)(destination + VectorRegisters.HighHalf) = default;
        }

        return Dispatch.Next(cpu, op);
    }

    /// <summary>Memory to register; what lies above <c>T</c> in the XMM register becomes zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Load<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged =>
        !TAccess.IsAllowed(cpu) ? TAccess.Refuse(cpu, op)
        : GuestAccess.TryRead(cpu, op, out T value) ? Store<TAccess, T>(cpu, op, value)
        : Faults.Faulted(cpu, op);

    /// <summary>The same, #GP unless aligned to the operand's size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadAligned<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged =>
        !TAccess.IsAllowed(cpu) ? TAccess.Refuse(cpu, op)
        : GuestAccess.TryReadAligned(cpu, op, out T value) ? Store<TAccess, T>(cpu, op, value)
        : Faults.Faulted(cpu, op);

    /// <summary>Register to memory; for <c>T</c> narrower than 128 bits its low part. Reg0 is the source.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Store<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged =>
        !TAccess.IsAllowed(cpu) ? TAccess.Refuse(cpu, op)
        : GuestAccess.TryWrite(cpu, op, Read<T>(cpu, op->Reg0)) ? Dispatch.Next(cpu, op)
        : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* StoreAligned<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged =>
        !TAccess.IsAllowed(cpu) ? TAccess.Refuse(cpu, op)
        : GuestAccess.TryWriteAligned(cpu, op, Read<T>(cpu, op->Reg0)) ? Dispatch.Next(cpu, op)
        : Faults.Faulted(cpu, op);

    /// <summary>
    /// MOVLPS, MOVLPD, MOVHPS, MOVHPD from memory: one half of the XMM register. <see cref="Operation.Reg0"/> names the half.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadHalf(CpuContext* cpu, Operation* op)
    {
        if (!SseAccess.IsAllowed(cpu))
        {
            return SseAccess.Refuse(cpu, op);
        }

        if (!GuestAccess.TryRead(cpu, op, out ulong value))
        {
            return Faults.Faulted(cpu, op);
        }

        *(ulong*)VectorRegisters.Pointer(cpu, op->Reg0) = value;
        return Dispatch.Next(cpu, op);
    }

    /// <summary>General register to XMM register, zero extended: MOVD, MOVQ.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FromGeneral<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged =>
        TAccess.IsAllowed(cpu)
            ? Store<TAccess, T>(cpu, op, *(T*)VectorRegisters.Pointer(cpu, op->Reg1))
            : TAccess.Refuse(cpu, op);

    /// <summary>XMM register to general register, zero extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ToGeneral<TAccess, T>(CpuContext* cpu, Operation* op)
        where TAccess : struct, IVectorAccess
        where T : unmanaged
    {
        if (!TAccess.IsAllowed(cpu))
        {
            return TAccess.Refuse(cpu, op);
        }

        ulong value = *(ulong*)VectorRegisters.Pointer(cpu, op->Reg1);
        *(ulong*)VectorRegisters.Pointer(cpu, op->Reg0) = sizeof(T) == 4 ? (uint)value : value;
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Read<T>(CpuContext* cpu, byte slot)
        where T : unmanaged
    {
        byte* register = VectorRegisters.Pointer(cpu, slot);
        if (sizeof(T) <= 16)
        {
            return *(T*)register;
        }

        var whole = Vector256.Create(*(Vector128<byte>*)register, *(Vector128<byte>*)(register + VectorRegisters.HighHalf));
        return Unsafe.BitCast<Vector256<byte>, T>(whole);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Operation* Store<TAccess, T>(CpuContext* cpu, Operation* op, T value)
        where TAccess : struct, IVectorAccess
        where T : unmanaged
    {
        byte* register = VectorRegisters.Pointer(cpu, op->Reg0);
        if (sizeof(T) == 32)
        {
            var whole = Unsafe.BitCast<T, Vector256<byte>>(value);
            *(Vector128<byte>*)register = whole.GetLower();
            *(Vector128<byte>*)(register + VectorRegisters.HighHalf) = whole.GetUpper();
            return Dispatch.Next(cpu, op);
        }

        if (sizeof(T) < 16)
        {
            *(Vector128<byte>*)register = default;
        }

        *(T*)register = value;
        if (typeof(TAccess) == typeof(AvxAccess))
        {
            *(Vector128<byte>*)(register + VectorRegisters.HighHalf) = default;
        }

        return Dispatch.Next(cpu, op);
    }
}
