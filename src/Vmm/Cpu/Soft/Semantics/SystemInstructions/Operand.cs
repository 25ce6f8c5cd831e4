using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>
/// Operands of system instructions: "r/m16" and its kind, a register or memory, 16 bits in memory whatever the operand size.
/// </summary>
internal static unsafe class Operand
{
    /// <summary>Set by <see cref="Decoding.SystemSelector"/> in <see cref="Operation.Reg2"/> when the operand is a register.</summary>
    public const byte IsRegister = 1;

    /// <summary>The 16-bit source: register <see cref="Operation.Reg0"/> or memory.</summary>
    public static bool TryRead16(CpuContext* cpu, Operation* op, out ushort value)
    {
        if (op->Reg2 != IsRegister)
        {
            return GuestAccess.TryRead(cpu, op, out value);
        }

        value = *(ushort*)((byte*)cpu + op->Reg0);
        return true;
    }

    /// <summary>
    /// Stores to register <see cref="Operation.Reg0"/> at its operand size (<see cref="Operation.Immediate"/> bytes), or 16 bits to memory.
    /// </summary>
    public static Operation* Store(CpuContext* cpu, Operation* op, ulong value)
    {
        if (op->Reg2 != IsRegister)
        {
            return GuestAccess.TryWrite(cpu, op, (ushort)value) ? op + 1 : Faults.Faulted(cpu, op);
        }

        WriteRegister(cpu, op->Reg0, value, (int)op->Immediate);
        return op + 1;
    }

    /// <summary>Writes a general register at a width of 2, 4 or 8 bytes; 32 bits clear the upper half.</summary>
    public static void WriteRegister(CpuContext* cpu, byte register, ulong value, int size)
    {
        switch (size)
        {
            case 2: *(ushort*)((byte*)cpu + register) = (ushort)value; break;
            case 4: *(ulong*)((byte*)cpu + register) = (uint)value; break;
            default: *(ulong*)((byte*)cpu + register) = value; break;
        }
    }

    /// <summary>CR4.UMIP keeps user code from SGDT, SIDT, SLDT, STR and SMSW.</summary>
    public static bool IsBarredByUmip(CpuContext* cpu) => cpu->Cpl > 0 && (cpu->State.Cr4 & Cr4.Umip) != 0;
}
