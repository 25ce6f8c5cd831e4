using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>MOV to and from debug registers (SDM Vol. 3B §17.2).</summary>
internal static unsafe class DebugRegisterInstructions
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Once)]
    public static Operation* MoveFrom(CpuContext* cpu, Operation* op)
    {
        if (!TryCheck(cpu, op, op->Reg1, out int register))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong value = cpu->State.Dr[register];
        *(ulong*)((byte*)cpu + op->Reg0) = (op->Flags & OperationFlags.Long) != 0 ? value : (uint)value;
        return op + 1;
    }

    /// <summary>Ends its block, as breakpoints change how the following code is executed.</summary>
    [MethodImpl(Once)]
    public static Operation* MoveTo(CpuContext* cpu, Operation* op)
    {
        if (!TryCheck(cpu, op, op->Reg0, out int register))
        {
            return Faults.Faulted(cpu, op);
        }

        ulong value = *(ulong*)((byte*)cpu + op->Reg1);
        if ((op->Flags & OperationFlags.Long) == 0)
        {
            value = (uint)value;
        }

        if (register >= 6)
        {
            if (value >> 32 != 0)
            {
                return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
            }

            value = register == 6 ? (value & 0xe00f) | 0xffff_0ff0 : (value & 0xffff_2bff) | 0x400;
        }

        cpu->State.Dr[register] = value;
        ProcessorMode.Update(cpu);
        return Faults.Leave(cpu, op);
    }

    private static bool TryCheck(CpuContext* cpu, Operation* op, byte number, out int register)
    {
        // DR4 and DR5 are DR6 and DR7 unless CR4.DE is set.
        register = number is 4 or 5 ? number + 2 : number;
        if (number > 7 || (number is 4 or 5 && (cpu->State.Cr4 & Cr4.De) != 0))
        {
            Faults.Record(cpu, ExceptionVector.InvalidOpcode);
            return false;
        }

        if (cpu->Cpl != 0)
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        if ((cpu->State.Dr[7] & DebugRegisters.GeneralDetect) != 0)
        {
            Faults.Record(cpu, ExceptionVector.Debug, 0, 1 << 13);
            return false;
        }

        return true;
    }
}
