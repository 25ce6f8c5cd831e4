using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>CRC32 (polynomial 11EDC6F41h). A 64-bit destination is zero-extended.</summary>
internal static unsafe class ChecksumHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Register<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Accumulate(cpu, op, RegisterFile.Read<T>(cpu, op->Reg1));
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Memory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T data))
        {
            return Faults.Faulted(cpu, op);
        }

        Accumulate(cpu, op, data);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate<T>(CpuContext* cpu, Operation* op, T data)
        where T : unmanaged, IBinaryInteger<T>
    {
        uint crc = RegisterFile.Read<uint>(cpu, op->Reg0);
        RegisterFile.Write(cpu, op->Reg0, sizeof(T) switch
        {
            1 => BitOperations.Crc32C(crc, byte.CreateTruncating(data)),
            2 => BitOperations.Crc32C(crc, ushort.CreateTruncating(data)),
            4 => BitOperations.Crc32C(crc, uint.CreateTruncating(data)),
            _ => BitOperations.Crc32C(crc, ulong.CreateTruncating(data)),
        });
    }
}
