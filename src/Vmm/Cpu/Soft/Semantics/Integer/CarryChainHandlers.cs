using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>ADCX (carry chain in CF) and ADOX (in OF). Each changes that flag alone.</summary>
internal static unsafe class CarryChainHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CarryRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Accumulate(cpu, op, RegisterFile.Read<T>(cpu, op->Reg1), RflagsBits.Cf);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* CarryMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        Accumulate(cpu, op, right, RflagsBits.Cf);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* OverflowRegister<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Accumulate(cpu, op, RegisterFile.Read<T>(cpu, op->Reg1), RflagsBits.Of);
        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* OverflowMemory<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!GuestAccess.TryRead(cpu, op, out T right))
        {
            return Faults.Faulted(cpu, op);
        }

        Accumulate(cpu, op, right, RflagsBits.Of);
        return Dispatch.Next(cpu, op);
    }

    private static void Accumulate<T>(CpuContext* cpu, Operation* op, T right, ulong flag)
        where T : unmanaged, IBinaryInteger<T>
    {
        T left = RegisterFile.Read<T>(cpu, op->Reg0);
        T carry = (LazyFlags.Read(cpu) & flag) != 0 ? T.One : T.Zero;
        T result = left + right + carry;
        bool carryOut = carry == T.Zero ? result < left : result <= left;
        FlagEdits.Replace(cpu, flag, carryOut ? flag : 0);
        RegisterFile.Write(cpu, op->Reg0, result);
    }
}
