using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>MOV, MOVZX, MOVSX, MOVSXD, LEA, MOVBE, BSWAP and their like: data movement without flags.</summary>
internal static unsafe class MoveHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        RegisterFile.Write(cpu, op->Reg0, RegisterFile.Read<T>(cpu, op->Reg1));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterImmediate<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, OperandBits.Narrow<T>(op->Immediate));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterMemory<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out T value))
        {
            return TPath.IsFast ? RegisterMemory<T, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, value);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryRegister<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged
        where TPath : struct, IMemoryPath
    {
        if (!TPath.IsFast)
        {
            return GuestAccess.TryWrite(cpu, op, RegisterFile.Read<T>(cpu, op->Reg0)) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);
        }

        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return MemoryRegister<T, GeneralPath>(cpu, op);
        }

        *host = RegisterFile.Read<T>(cpu, op->Reg0);
        return TPath.Close(cpu, op, host);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemoryImmediate<T, TPath>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.IsFast)
        {
            return GuestAccess.TryWrite(cpu, op, OperandBits.Narrow<T>(op->Immediate)) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);
        }

        if (!TPath.TryOpen(cpu, op, out T* host))
        {
            return MemoryImmediate<T, GeneralPath>(cpu, op);
        }

        *host = OperandBits.Narrow<T>(op->Immediate);
        return TPath.Close(cpu, op, host);
    }

    /// <summary>MOV from an absolute 64-bit offset, which is in the immediate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterOffset<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, op->Immediate, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, value);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* OffsetRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged =>
        GuestAccess.TryWriteAt(cpu, op, (SegmentIndex)op->Segment, op->Immediate, RegisterFile.Read<T>(cpu, op->Reg0))
            ? Dispatch.Next(cpu, op)
            : Faults.Faulted(cpu, op);

    /// <summary>MOVZX or MOVSX, as <typeparamref name="TFrom"/> is unsigned or signed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ExtendRegister<TFrom, TTo>(CpuContext* cpu, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
    {
        RegisterFile.Write(cpu, op->Reg0, OperandBits.Narrow<TTo>(OperandBits.Extend(RegisterFile.Read<TFrom>(cpu, op->Reg1))));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ExtendMemory<TFrom, TTo, TPath>(CpuContext* cpu, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
        where TPath : struct, IMemoryPath
    {
        if (!TPath.TryRead(cpu, op, out TFrom value))
        {
            return TPath.IsFast ? ExtendMemory<TFrom, TTo, GeneralPath>(cpu, op) : Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, OperandBits.Narrow<TTo>(OperandBits.Extend(value)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>LEA of 64 bits with 64-bit addresses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadEffectiveAddress64(CpuContext* cpu, Operation* op)
    {
        RegisterFile.Write(cpu, op->Reg0, GuestAccess.RawAddress(cpu, op));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* LoadEffectiveAddress<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, OperandBits.Narrow<T>(GuestAccess.EffectiveAddress(cpu, op)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MOVBE from memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SwappedLoad<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, op->Reg0, Reverse(value));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MOVBE to memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* SwappedStore<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T> =>
        GuestAccess.TryWrite(cpu, op, Reverse(RegisterFile.Read<T>(cpu, op->Reg0))) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    /// <summary>BSWAP of 32 or 64 bits; of 16 the result is undefined in the SDM and 0 on current processors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* ByteSwap<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, sizeof(T) == 2 ? T.Zero : Reverse(RegisterFile.Read<T>(cpu, op->Reg0)));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>XLAT: AL = [rBX + AL].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* TableLookup<TAddress>(CpuContext* cpu, Operation* op)
        where TAddress : unmanaged, IBinaryInteger<TAddress>
    {
        TAddress offset = RegisterFile.Read<TAddress>(cpu, RegisterFile.Rbx)
            + TAddress.CreateTruncating(RegisterFile.Read<byte>(cpu, RegisterFile.Rax));
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, OperandBits.Widen(offset), out byte value))
        {
            return Faults.Faulted(cpu, op);
        }

        RegisterFile.Write(cpu, RegisterFile.Rax, value);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MOV of a segment register to a register; with 32 and 64 bits zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RegisterSelector<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, op->Reg0, T.CreateTruncating(cpu->State.Segments[op->Reg1].Selector));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>MOV of a segment register to memory: always 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* MemorySelector(CpuContext* cpu, Operation* op) =>
        GuestAccess.TryWrite(cpu, op, cpu->State.Segments[op->Reg0].Selector) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Reverse<T>(T value)
        where T : unmanaged, IBinaryInteger<T> => sizeof(T) switch
        {
            2 => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(ushort.CreateTruncating(value))),
            4 => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(uint.CreateTruncating(value))),
            _ => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(OperandBits.Widen(value))),
        };
}
