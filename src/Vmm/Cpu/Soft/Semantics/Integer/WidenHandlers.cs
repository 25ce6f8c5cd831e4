using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>CBW, CWDE, CDQE and CWD, CDQ, CQO.</summary>
internal static unsafe class WidenHandlers
{
    /// <summary>Sign-extends the accumulator in itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Accumulator<TFrom, TTo>(CpuContext* cpu, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
    {
        RegisterFile.Write(
            cpu, RegisterFile.Rax, OperandBits.Narrow<TTo>(OperandBits.Extend(RegisterFile.Read<TFrom>(cpu, RegisterFile.Rax))));
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Spreads the accumulator's sign over rDX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* IntoData<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        RegisterFile.Write(cpu, RegisterFile.Rdx, T.CreateTruncating(SignedValue.Of(RegisterFile.Read<T>(cpu, RegisterFile.Rax)) >> 63));
        return Dispatch.Next(cpu, op);
    }
}
